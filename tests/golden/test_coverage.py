"""Each kind of ledger entry, and each message, is in a golden file or in a list of exceptions.

Kinds that no run here makes are in a record that was written by hand.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from supervisor.core.entries.reading import KINDS
from supervisor.launcher.messages import Order, Report
from supervisor.rundir.ledger import encode_entry
from supervisor.rundir.paths import RunPaths
from tests.core.test_entries import RECORDS
from tests.golden.keeping import FOLDER, hold_against
from tests.golden.transcript import told
from tests.launcher.test_messages import WRITTEN

BY_HAND_NOW = 1795910400.0  # 2026-11-29T00:00:00Z, when all of them are past

# Kinds of entry, and why no run here makes them. tests/core/ledger_lines.jsonl has each of them,
# and commands/events-by-hand.txt its sentence.
NO_RUN_MAKES = {
    "requeue": "needs SLURM (tests/rigs/slurm)",
    "changed": "it compares what is installed where the tests run (tests/e2e/test_changed.py)",
    "not_resumed": "steps are compared by their pace, which is not that of a busy machine",
    "resume_doubted": "the same",
    "resume_seen": "it comes after a doubt",
    "described": "a training library says it (tests/e2e/test_described.py)",
    "sign_described": "a loop of such a library does (tests/e2e/test_plain_loops.py)",
    "trainer_told": "the same",
    "existing_decided": "an option of `run` decides it (tests/cli/test_existing_checkpoints.py)",
    "signs": "a loop has to give no sign of life for a minute (tests/core/test_signs.py)",
    "save_interval": "only a loop without adapter has it (tests/e2e/test_signs_of_life.py)",
    "own_save_awaited": "the same",
    "recovery": "it is told once a training goes on for seconds (tests/e2e/test_recovery_told.py)",
    "interval_hint": "the same",
    "variables_changed": "another environment has to start it (tests/cli/test_command_run.py)",
    "hook_failed": "needs a hook (tests/e2e/test_hooks.py)",
    "notified": "needs a target that takes messages (tests/e2e/test_told.py)",
}
# Messages, and why no real run here sends them. tests/launcher/test_messages.py has their bytes.
NO_RUN_SAYS = {
    "unkillable": "needs a process that SIGKILL does not end (tests/e2e/test_stuck.py, as root)",
}


def lines(*patterns: str) -> Iterator[str]:
    """The lines of the golden files of these names."""
    for pattern in patterns:
        for path in sorted(FOLDER.glob(pattern)):
            yield from path.read_text().splitlines()


def test_each_kind_of_entry() -> None:
    """Today's records have every kind that is not listed; other versions' ledgers do not count."""
    made = {json.loads(line)["type"] for line in lines("records/*/ledger.jsonl")}
    made |= {json.loads(line)["type"] for line in lines("records/notes.jsonl")}
    assert set(KINDS) - made == set(NO_RUN_MAKES)
    assert set(NO_RUN_MAKES) <= {record["type"] for record in RECORDS}


def test_each_message() -> None:
    """Exchanges of real launchers and daemons have every message that is not listed."""
    said = {next(iter(json.loads(line[2:]).items())) for line in lines("messages/*.txt")}
    kinds = {(one.key, one.kind) for union in (Order, Report) for one in union.__args__}
    missing = {kind for _, kind in kinds - said}
    assert missing == set(NO_RUN_SAYS)
    assert missing <= {message.kind for message, _ in WRITTEN}


def test_events_of_each_kind(place: Path) -> None:
    """`events` shows every kind of entry in every shape, at the time of its line."""
    paths = RunPaths(place / "runs" / "demo")
    paths.state_dir.mkdir(parents=True, mode=0o700)
    paths.ledger.write_bytes(b"".join(map(encode_entry, RECORDS)))
    hold_against("commands/events-by-hand.txt", told(place, [["events"]], BY_HAND_NOW))
