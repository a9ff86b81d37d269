"""The tables of docs/run-directory.md are made from the classes of what is on record."""

from dataclasses import dataclass

import pytest

from docs.tables import PAGE, sentences, status_rows, written
from supervisor.core.status import Status


@dataclass
class Told:
    """A class of which something is said."""

    one: int = 0
    """Of one line."""
    mute: int = 0
    two: int = 0
    """Of
    two lines."""


def test_the_page_is_fresh() -> None:
    """`make docs` was run after a field or its sentence changed."""
    page = PAGE.read_text()
    assert page == written(page), "stale: run `make docs`"


def test_what_is_said_of_a_field_stands_below_it() -> None:
    """A field without a sentence has none, and a sentence of two lines is one."""
    assert sentences(Told) == {"one": "Of one line.", "two": "Of two lines."}


def test_every_key_is_told() -> None:
    """A key of `status.json` of which the page says nothing helps nobody."""
    assert [row for row in status_rows() if row.endswith("|  |")] == []
    assert set(sentences(Status)) == set(Status.__dataclass_fields__)


def test_a_page_without_marks_is_refused() -> None:
    """Otherwise `make docs` would write no table, and nobody would see it."""
    with pytest.raises(ValueError, match="unpack"):
        written("# A page\n")
