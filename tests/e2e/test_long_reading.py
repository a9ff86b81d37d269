"""A decision that waits for a slow disk is not silent."""

import os
import signal
from pathlib import Path

from tests.e2e.conftest import Supervised


def reading_child(daemon: int) -> int | None:
    """The daemon's child that reads checkpoints."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            status = (entry / "status").read_text()
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"\nPPid:\t{daemon}\n" in status and b"serve" in words:
            return int(entry.name)
    return None


def test_checkpoints_that_are_still_being_read_are_told_of(run: Supervised) -> None:
    """The reading child is frozen: the console says so, and the run goes on afterwards."""
    run.configure(env={"STEP_S": 0.05}, launch={"mode": "cold"})
    run.start()
    trainer = run.wait_step(5)
    child = run.wait(lambda: reading_child(run.status["pids"]["daemon"]))
    os.kill(child, signal.SIGSTOP)
    os.kill(trainer, signal.SIGKILL)
    run.wait(lambda: "the checkpoints are still being read, for 5 s so far" in run.text)
    os.kill(child, signal.SIGCONT)
    assert run.finish() == 0
    assert run.text.count("still being read") == 1
    assert [entry["attempt"] for entry in run.entries("attempt_started")] == [1, 2]
