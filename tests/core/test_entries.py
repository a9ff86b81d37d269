"""The ledger's entries as types: of this version, of earlier and later ones, of no known kind."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.ending import Doubt
from supervisor.core.entries.attempt import (
    AttemptEndedEntry,
    AttemptStartedEntry,
    HungEntry,
    Source,
)
from supervisor.core.entries.decision import StopRequestedEntry
from supervisor.core.entries.entry import UnknownEntry
from supervisor.core.entries.reading import KINDS, read_entry
from supervisor.core.entries.saves import CheckpointRemovedEntry, CheckpointVerdictEntry
from supervisor.core.vocabulary import Action, Failure, StopSource

# One line of each kind and shape that versions up to this one have written.
LINES = Path(__file__).with_name("ledger_lines.jsonl").read_text().splitlines()
RECORDS: list[dict[str, Any]] = [json.loads(line) for line in LINES]
FOREIGN: list[Any] = [
    None, True, False, 0, -1, 7, 10**400, 1.5, -0.0, float("inf"), float("nan"), "", "word",
    "é\ud800", [], [1], ["a", "b"],
    [None, None, None], {}, {"a": 1}, {"path": 3}, {"path": "x", "tier": "tape"}, [{"pid": 1}],
]  # fmt: skip


def as_line(record: dict[str, Any]) -> str:
    """The entry as JSON without its times, which the writer adds."""
    return json.dumps({k: v for k, v in record.items() if k not in {"at", "monotonic"}})


def kept(record: dict[str, Any]) -> bool:
    """Whether reading and writing an entry keeps it, with its keys in their order."""
    return json.dumps(read_entry(record).to_json()) == as_line(record)


def test_there_is_a_line_of_each_kind() -> None:
    """The tests below cover all kinds."""
    assert {record["type"] for record in RECORDS} == set(KINDS)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["type"])
def test_what_any_version_wrote_is_read_and_stays(record: dict[str, Any]) -> None:
    """Each line is read as its kind, and written again it gives the same bytes."""
    entry = read_entry(record)
    assert type(entry) is KINDS[record["type"]]
    assert kept(record)
    assert read_entry({**record, **entry.to_json()}) == entry


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["type"])
def test_foreign_values_are_never_an_exception(record: dict[str, Any]) -> None:
    """Whatever value a field has, the entry is read and its bytes are kept."""
    for key in record:
        for value in FOREIGN:
            assert kept({**record, key: value}), (key, value)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["type"])
def test_unknown_keys_are_kept_and_missing_ones_have_defaults(record: dict[str, Any]) -> None:
    """An entry with unknown keys is of its kind, and one without a needed key is unknown."""
    entry = read_entry(record)
    more = {"type": record["type"], "before": {"x": [1]}, **record, "after": None}
    assert kept(more)
    assert read_entry(more) == entry
    for key in record.keys() - {"type"}:
        less = {k: v for k, v in record.items() if k != key}
        assert kept(less), key
        assert isinstance(read_entry(less), (KINDS[record["type"]], UnknownEntry))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(record=st.sampled_from(RECORDS), values=st.data())
def test_whatever_json_says_is_kept(record: dict[str, Any], values: st.DataObject) -> None:
    """Any values in any fields, in any order, are kept."""
    keys = values.draw(st.permutations(list(record)))
    changed = {k: record[k] if values.draw(st.booleans()) else values.draw(JSON) for k in keys}
    entry = read_entry({**changed, "type": record["type"]})
    said = {k: v for k, v in changed.items() if k not in {"at", "monotonic", "type"}}
    assert entry.to_json() == {"type": record["type"], **said}


@pytest.mark.parametrize("record", [{}, {"type": ["odd"], "x": 1}, {"type": "later", "y": None}])
def test_what_is_no_kind_here_stays_as_it_is(record: dict[str, Any]) -> None:
    """An entry without a type, or of a later version's type, is kept as it is."""
    assert read_entry(record) == UnknownEntry(record=record)
    assert kept(record)


def test_values_have_the_types_of_the_code() -> None:
    """Words are the vocabulary's, lists are tuples, and objects inside are instances too."""
    ended = next(
        e for e in map(read_entry, RECORDS) if isinstance(e, AttemptEndedEntry) and e.doubt
    )
    assert ended.doubt == Doubt("record", "its own record says step 3 of 10", 3)
    assert ended.signature == ("RuntimeError", "model.py:forward", 3)
    assert isinstance(ended.failure, Failure)
    assert (ended.failure, ended.action) == ("cosmic_ray", "restart_elsewhere")
    started = read_entry(
        {"type": "attempt_started", "attempt": 2, "checkpoint": {"path": "/c", "step": 3}}
    )
    assert started == AttemptStartedEntry(attempt=2, checkpoint=Source(path="/c", step=3))


def test_null_is_told_from_absent_where_it_matters() -> None:
    """An entry that lacks a key is one of an earlier version."""
    assert read_entry({"type": "hung", "reason": "r"}) == HungEntry(
        reason="r", failure=Failure.HANG
    )
    null = read_entry({"type": "hung", "reason": "r", "failure": None})
    assert null == HungEntry(reason="r", failure=None)
    entry = read_entry({"type": "attempt_ended", "attempt": 1, "step": None})
    assert (entry.has("step"), entry.has("ended_training")) == (True, False)


def test_what_is_left_out_does_not_stand_on_record() -> None:
    """A new entry is written without the keys that say nothing."""
    assert StopRequestedEntry(by=StopSource.INTENT).to_json() == {
        "type": "stop_requested",
        "by": "intent",
    }
    late = StopRequestedEntry(by="SIGTERM", asked_wall=1.5, late=True)
    assert list(late.to_json()) == ["type", "by", "asked_wall", "late"]
    pruned = CheckpointRemovedEntry(path="/c", why="pruned")
    assert list(pruned.to_json()) == ["type", "path", "why", "to"]
    verdict = CheckpointVerdictEntry(path="/c", fingerprint="f", save_kind="final", kept=False)
    assert verdict.to_json()["kind"] == "final"
    assert verdict.to_json()["kept"] is False
    ended = AttemptEndedEntry(attempt=1, action=Action.RESTART, keys=("attempt", "action"))
    assert list(ended.with_course(1.0, None, 2.5).to_json()) == [
        "type", "attempt", "action", "duration_s", "last_save_s", "loss",
    ]  # fmt: skip
