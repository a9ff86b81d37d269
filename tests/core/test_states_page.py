"""docs/states.md is generated from the table, docs/processes.svg from the list of processes."""

from pathlib import Path

import pytest

from docs import picture
from supervisor.core.diagram import MEANING, states_page
from supervisor.core.events import Tick
from supervisor.core.table import IllegalTransition, target
from supervisor.core.vocabulary import RunState

PAGE = Path(__file__).parents[2] / "docs" / "states.md"


def test_page_is_fresh() -> None:
    """`make docs` was run after the table changed."""
    assert PAGE.read_text() == states_page(), "stale: run `make docs`"


def test_picture_is_fresh() -> None:
    """`make docs` was run after the picture changed."""
    assert picture.PAGE.read_text() == picture.picture(), "stale: run `make docs`"


def test_every_state_is_explained() -> None:
    """A state without a meaning helps no reader."""
    assert set(MEANING) == set(RunState)


def test_unwritten_transitions_are_refused() -> None:
    """A transition that the table does not have raises IllegalTransition."""
    with pytest.raises(IllegalTransition):
        target(RunState.HELD, Tick(), "time is up")
