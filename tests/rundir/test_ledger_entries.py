"""The ledger as its readers see it: entries with their times, whatever the file contains."""

from pathlib import Path
from typing import Any

import pytest

from supervisor.cli.show.ledger_details import details
from supervisor.cli.show.ledger_sentences import sentence
from supervisor.core.entries.entry import Stamped
from supervisor.core.entries.run import ReloadedEntry
from supervisor.core.point_in_time import Moment
from supervisor.core.policy import Policy
from supervisor.core.replay import fold
from supervisor.core.rules.resumption import initial_state
from supervisor.core.vocabulary import Intent
from supervisor.daemon.takeover import beginning
from supervisor.daemon.tell.checkpoint_verdicts import memory_of, recorded_of
from supervisor.launcher.messages import Hello
from supervisor.rundir.ledger import LedgerWriter
from supervisor.rundir.ledger_entries import iterate_entries, run_created, stamped
from tests.core.test_entries import FOREIGN, RECORDS


def begin_with(ledger: list[Stamped]) -> None:
    """Do all that a daemon, and a command, do with a ledger at their start."""
    history, here = fold(ledger), Moment(2.0, 1.0, "b")
    state = initial_state(history, Policy(), now=1.0, wall=2.0, boot="b")
    beginning(history, Intent.RUN, state, Hello(), here)
    memory_of(ledger)
    recorded_of(ledger)
    for noted in ledger:
        sentence(noted.entry)
        details(noted.entry)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["type"])
def test_no_record_keeps_a_daemon_or_a_command_from_beginning(record: dict[str, Any]) -> None:
    """Whatever value a field has, in a single entry or after others, nothing raises."""
    others = [stamped(one) for one in RECORDS[:12]]
    for key in record:
        for value in FOREIGN:
            odd = stamped({**record, key: value})
            begin_with([odd])
            begin_with([*others, odd])


def test_an_entry_is_read_with_both_its_times(tmp_path: Path) -> None:
    """The entry is read as it was written, with the times of two clocks."""
    created = run_created("demo")
    writer = LedgerWriter(tmp_path / "ledger.jsonl", tmp_path / "reserve")
    writer.append([created.to_json(), ReloadedEntry().to_json()])
    writer.close()
    first, second = iterate_entries(tmp_path / "ledger.jsonl")
    assert (first.entry, second.entry) == (created, ReloadedEntry())
    assert first.wall > 1.7e9
    assert first.monotonic is not None
    assert list(iterate_entries(tmp_path / "absent")) == []


@pytest.mark.parametrize("at", [None, "", "yesterday", 7, ["2026-01-01T00:00:00Z"]])
def test_a_time_that_nobody_can_read_is_none(at: object) -> None:
    """An entry counts even if its time cannot be read."""
    assert stamped({"at": at, "monotonic": at, "type": "reloaded"}).entry == ReloadedEntry()
    assert stamped({"at": at, "type": "reloaded"}).wall == 0.0
    assert stamped({"at": at, "monotonic": "7", "type": "reloaded"}).monotonic is None
