"""A run's ledger, status.json and messages, held against what was kept of that scenario.

Of `NOTES` time decides when, how often and with which numbers they are written. They are no part
of a scenario: their names and types, of all scenarios together, are in records/notes.jsonl. Of a
checkpoint the last verdict stands at the end, without what depends on when it was looked at: that
a valid one was damaged later is on record only if it was left alone for long enough. Of a snapshot
in memory none stands there, since time decides which of them a look meets.
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
MEMORY = "/dev/shm/"


def hold_ledger(run: Supervised, name: str) -> None:
    """Compare the ledger of a scenario that has ended."""
    normal = Normal(run.folder)
    entries = read_ledger(run.paths.ledger)
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
    hold_against(f"records/{name}/ledger.jsonl", "".join(whole))
    notes = [normal.shape(entry) for entry in entries if entry["type"] in NOTES]
    hold_within("records/notes.jsonl", map(json.dumps, notes))


def hold_status(run: Supervised, name: str, moment: str = "end") -> dict[str, Any]:
    """Compare status.json as it is at a moment, a key a line; returns it.

    At the end time decides whether the last one is written before or after an idle persister has
    ended: it is compared as absent.
    """
    status, normal = run.status, Normal(run.folder)
    persister = status["persister"]
    if moment == "end" and persister is not None and persister["state"] == "idle":
        persister["state"] = "absent"
    lines = [normal.line({key: one})[1:-1] for key, one in status.items()]
    hold_against(f"records/{name}/status-{moment}.json", "{" + ",\n".join(lines) + "}\n")
    return status


def hold_record(run: Supervised, name: str) -> None:
    """Compare both, as they are at the end, and what was printed until then.

    Of a traceback the exception is kept: its other lines are of the program as it stands today.
    """
    hold_ledger(run, name)
    hold_status(run, name)
    printed = Normal(run.folder).text(run.text).splitlines()
    kept = [f"{line}\n" for line in printed if not re.match("    |  File|Traceback", line)]
    hold_against(f"records/{name}/output.txt", "".join(kept))


def hold_messages(run: Overheard, name: str) -> None:
    """Compare all that launcher and daemon said to each other: each line once, sorted."""
    normal = Normal(run.folder)
    said = {
        line[:2] + normal.line(json.loads(line[2:])) for line in run.heard.read_text().splitlines()
    }
    hold_against(f"messages/{name}.txt", "".join(f"{line}\n" for line in sorted(said)))
