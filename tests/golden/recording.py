"""Compares a run's ledger, status.json and messages with the kept files of the scenario.

Time decides when, how often and with which numbers entries of `NOTES` are written. So they are not
compared per scenario: records/notes.jsonl has their names and types, for all scenarios together. Of
each checkpoint the last verdict is compared, at the end of the file, without fields that depend on
the time of a look. (That a valid one was damaged later is recorded only if it was left alone long
enough.) Verdicts on snapshots in memory are left out, because time decides which of them a look
meets.
"""

import json
import re
from typing import Any

from supervisor.rundir.ledger import read_ledger
from tests.e2e.conftest import Supervised
from tests.golden.conftest import Overheard
from tests.golden.keeping import hold_against, hold_within
from tests.golden.normal import Normal

NOTES = frozenset({
    "time", "parked", "save_seen", "first_step", "suspended", "progress", "checkpoint_place",
    "checkpoint_seen", "steps_began", "resume_seen", "checkpoint",
})  # fmt: skip
# Left out: time decides whether an attempt comes to them (tests/e2e/test_recovery_told.py).
UNCOMPARED = frozenset({"recovery", "interval_hint"})
MEMORY = "/dev/shm/"
_INCIDENT_NUMBER = r'("type":"incident","id":|/incidents/)\d+'


def hold_ledger(run: Supervised, name: str, *, by_time: bool = True) -> None:
    """Compare the ledger of a scenario that has ended; `by_time` as in `hold_record`."""
    normal = Normal(run.folder)
    entries = [one for one in read_ledger(run.paths.ledger) if one["type"] not in UNCOMPARED]
    whole = [normal.line(entry) + "\n" for entry in entries if entry["type"] not in NOTES]
    checkpoints = [entry for entry in entries if entry["type"] == "checkpoint"]
    verdicts = {
        one["path"]: one
        for one in sorted(checkpoints, key=lambda one: one["valid"] is True)
        if not one["path"].startswith(MEMORY)
    }
    for path in sorted(verdicts):
        last = {key: one for key, one in verdicts[path].items() if key not in ("progress", "kept")}
        whole.append(normal.line(last) + "\n")
    if not by_time:
        whole = sorted(re.sub(_INCIDENT_NUMBER, r"\g<1>0", line) for line in whole)
    hold_against(f"records/{name}/ledger.jsonl", "".join(whole))
    notes = [normal.shape(entry) for entry in entries if entry["type"] in NOTES]
    hold_within("records/notes.jsonl", map(json.dumps, notes))


def hold_status(run: Supervised, name: str, moment: str = "end") -> dict[str, Any]:
    """Compare status.json at a moment, one key per line; returns the status.

    At the end time decides whether the last status comes before or after an idle persister's end.
    So an idle persister is compared as absent.
    """
    status, normal = run.status, Normal(run.folder)
    persister = status["persister"]
    if moment == "end" and persister is not None and persister["state"] == "idle":
        persister["state"] = "absent"
    lines = [normal.line({key: one})[1:-1] for key, one in status.items()]
    hold_against(f"records/{name}/status-{moment}.json", "{" + ",\n".join(lines) + "}\n")
    return status


def hold_record(run: Supervised, name: str, *, by_time: bool = True) -> None:
    """Compare ledger and status.json at the end, and all output until then.

    `by_time` False: two processes at work decide what comes first, so lines are compared sorted.
    Of a traceback only the exception is kept: its other lines are of the present program. The
    paragraph on what a kill would cost is left out: time decides whether an attempt comes to it.
    """
    hold_ledger(run, name, by_time=by_time)
    hold_status(run, name)
    printed = Normal(run.folder).text(run.text).splitlines()
    kept = [
        f"{line}\n"
        for line in printed
        if not re.match("    |  File|Traceback|<clock> recovery:", line)
    ]
    hold_against(f"records/{name}/output.txt", "".join(kept if by_time else sorted(kept)))


def hold_messages(run: Overheard, name: str) -> None:
    """Compare all messages between launcher and daemon: each line once, sorted."""
    normal = Normal(run.folder)
    said = {
        line[:2] + normal.line(json.loads(line[2:])) for line in run.heard.read_text().splitlines()
    }
    hold_against(f"messages/{name}.txt", "".join(f"{line}\n" for line in sorted(said)))
