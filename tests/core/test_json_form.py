"""Records as JSON objects: a reader takes what fits of another version's or program's JSON."""

import json
from dataclasses import dataclass, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.json_form import from_json, to_json
from supervisor.core.status import ParkedStatus, PersisterStatus, Pids, Status
from supervisor.core.vocabulary import Failure, RunState

FULL = Status(
    run="demo",
    state=RunState.RUNNING,
    attempt=2,
    pids=Pids(1, 2, 3),
    loss=1.5,
    attached=False,
    persister=PersisterStatus("idle", bytes_per_s=5),
    failure=Failure.HANG,
    warnings=("a", "b"),
)


@dataclass(frozen=True, slots=True)
class Needing:
    """A record that cannot exist without its number."""

    number: int
    pair: tuple[str, int | None] | None = None


@pytest.mark.parametrize("record", [Status(), FULL])
def test_there_and_back(record: Status) -> None:
    """A record is read as it was written, and its keys are the fields in their order."""
    body = json.loads(json.dumps(to_json(record)))
    assert list(body) == [field.name for field in fields(Status)]
    assert from_json(Status, body) == record


@pytest.mark.parametrize(
    ("field", "said", "read"),
    [
        ("state", "running", RunState.RUNNING),
        ("state", "hovering", "hovering"),
        ("state", 5, None),
        ("failure", "hang", Failure.HANG),
        ("failure", "struck_by_lightning", "struck_by_lightning"),
        ("failure", ["hang"], None),
        ("attempt", "3", None),
        ("attempt", True, None),
        ("attempt", 3.5, None),
        ("attached", 1, None),
        ("loss", 2, 2),
        ("loss", float("nan"), None),
        ("loss", float("inf"), None),
        ("loss", 10**400, None),
        ("warnings", ["a", 5, "b"], ("a", "b")),
        ("warnings", "a", ()),
        ("pids", {"daemon": 7, "trainer": "x", "plumber": 9}, Pids(daemon=7)),
        ("pids", [1, 2], Pids()),
        ("checkpoint", {}, None),
        ("checkpoint", {"path": 5}, None),
        ("interrupts", None, 0),
    ],
)
def test_a_value_that_does_not_fit_is_as_absent(field: str, said: Any, read: object) -> None:
    """A field of a wrong type takes the default; a word of another version is kept."""
    found = from_json(Status, {field: said, "of a later version": 1})
    assert found is not None
    assert getattr(found, field) == read
    assert type(getattr(found, field)) is type(read) or isinstance(read, str)


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ({"number": 1}, Needing(1)),
        ({"number": 1, "pair": ["a", None]}, Needing(1, ("a", None))),
        ({"number": 1, "pair": ["a", 2, 3]}, Needing(1)),
        ({"number": 1, "pair": [2, "a"]}, Needing(1)),
        ({"number": "1"}, None),
        ({}, None),
        ([], None),
        (None, None),
    ],
)
def test_what_a_record_cannot_be_without(said: object, read: Needing | None) -> None:
    """An object that lacks a needed field is no record, and a tuple needs all of its types."""
    assert from_json(Needing, said) == read


def test_pairs_are_read_as_pairs() -> None:
    """A list of lists is read as a tuple of tuples, without the lists that do not fit."""
    found = from_json(ParkedStatus, {"left_out": [["a", "why"], ["b"], ["c", "why"]]})
    assert found == ParkedStatus(left_out=(("a", "why"), ("c", "why")))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
NAMES = st.sampled_from([field.name for field in fields(Status)])


@given(st.dictionaries(NAMES, JSON, max_size=8) | JSON)
def test_nothing_raises(body: object) -> None:
    """Any JSON object is read as a status that can be written again; other JSON is none."""
    found = from_json(Status, body)
    assert (found is not None) == isinstance(body, dict)
    if found is not None:
        json.dumps(to_json(found), allow_nan=False)
