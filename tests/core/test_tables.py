"""The tables in docs/ are made from the classes of the records and of the configuration."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from docs.tables import (
    CONFIGURATION,
    MONITORING,
    RUN_DIRECTORY,
    TRAINERS,
    configuration,
    ledger_rows,
    monitoring,
    run_directory,
    sentences,
    status_rows,
    trainers,
)
from supervisor.core.entries.reading import KINDS
from supervisor.core.status import Status


@dataclass
class Told:
    """A class with field docstrings."""

    one: int = 0
    """Of one line."""
    mute: int = 0
    two: int = 0
    """Of
    two lines."""


@pytest.mark.parametrize(
    ("path", "written"),
    [
        (RUN_DIRECTORY, run_directory),
        (CONFIGURATION, configuration),
        (TRAINERS, trainers),
        (MONITORING, monitoring),
    ],
    ids=["run-directory", "configuration", "trainers", "monitoring"],
)
def test_the_page_is_fresh(path: Path, written: Callable[[str], str]) -> None:
    """`make docs` was run after a field or its text changed."""
    page = path.read_text()
    assert page == written(page), "stale: run `make docs`"


def test_what_is_said_of_a_field_stands_below_it() -> None:
    """A field without a docstring has no sentence, and a docstring of two lines is one sentence."""
    assert sentences(Told) == {"one": "Of one line.", "two": "Of two lines."}


def test_every_key_and_kind_is_told() -> None:
    """Each key of `status.json` and each kind of entry has a sentence on the page."""
    rows = [*status_rows(), *ledger_rows()]
    assert [row for row in rows if not row.split("|")[2].strip()] == []
    told = {row.split("`")[1] for row in rows}
    assert {*Status.__dataclass_fields__, *KINDS, "launch.parked", "save_seen.sources"} <= told


def test_a_key_is_named_as_on_record() -> None:
    """A key that is no Python name is shown as recorded, and the common fields are left out."""
    (row,) = (row for row in ledger_rows() if row.startswith("| `pointer_set` |"))
    assert "`from`" in row
    assert "`was`" not in row
    assert "`extra`" not in row


@pytest.mark.parametrize("written", [run_directory, configuration, trainers])
def test_a_page_without_marks_is_refused(written: Callable[[str], str]) -> None:
    """Otherwise `make docs` would write no table, and nobody would see it."""
    with pytest.raises(ValueError, match="unpack"):
        written("# A page\n")
