"""Whole ledgers of earlier versions: what today's code makes of each, and prints of it.

Real runs wrote them (keep_ledgers.py); names of machines and places were replaced.
"""

import dataclasses
import shutil
from pathlib import Path

import pytest

from supervisor.core.entries.entry import UnknownEntry
from supervisor.core.history import History
from supervisor.core.replay import fold
from supervisor.rundir.ledger import read_ledger, read_ledger_report
from supervisor.rundir.ledger_entries import iterate_entries
from supervisor.rundir.paths import RunPaths
from supervisor.system.clock import parse_rfc3339
from tests.golden.keeping import FOLDER, hold_against
from tests.golden.transcript import told

KEPT = sorted(path.name for path in (FOLDER / "ledgers").iterdir())
COMMANDS = [["events"], ["status"], ["status", "--json"]]


def test_there_are_some() -> None:
    """Both kept versions have ledgers."""
    assert {name.partition("-")[0] for name in KEPT} == {"35eee77", "906219b"}


@pytest.mark.parametrize("name", KEPT)
def test_every_line_is_understood(name: str) -> None:
    """Each line is whole and of a known kind; written again it is the same line."""
    path = FOLDER / "ledgers" / name / "ledger.jsonl"
    records, bad = read_ledger_report(path)
    assert bad == 0
    for noted, record in zip(iterate_entries(path), records, strict=True):
        assert not isinstance(noted.entry, UnknownEntry), record
        assert list(noted.entry.to_json().items()) == [
            item for item in record.items() if item[0] not in ("at", "monotonic")
        ]


@pytest.mark.parametrize("name", KEPT)
def test_history(name: str) -> None:
    """The history changes after each entry as the kept file shows."""
    ledger = list(iterate_entries(FOLDER / "ledgers" / name / "ledger.jsonl"))
    fields = [field.name for field in dataclasses.fields(History)]
    lines, before = [], History()
    for number, noted in enumerate(ledger, start=1):
        after = fold(ledger[:number])
        changed = [one for one in fields if getattr(after, one) != getattr(before, one)]
        lines.append(f"{noted.entry.kind}\n")
        lines += [f"    {one} = {getattr(after, one)!r}\n" for one in changed]
        before = after
    hold_against(f"ledgers/{name}/history.txt", "".join(lines))


@pytest.mark.parametrize("name", KEPT)
def test_commands(name: str, place: Path) -> None:
    """`events` and `status` show the ledger, a minute after its last entry."""
    paths = RunPaths(place / "runs" / "demo")
    paths.state_dir.mkdir(parents=True, mode=0o700)
    for file in ("ledger.jsonl", "status.json"):
        shutil.copy(FOLDER / "ledgers" / name / file, paths.state_dir)
    last = parse_rfc3339(read_ledger(paths.ledger)[-1]["at"])
    hold_against(f"ledgers/{name}/commands.txt", told(place, COMMANDS, last + 60))
