"""A script that starts the training in the background and exits with 0: the training is the run."""

import os
import signal
import sys
from typing import Any

from tests.e2e.conftest import TRAINER, Supervised, uninterrupted

IN_BACKGROUND = ["bash", "-c", f"{sys.executable} {TRAINER} & exit 0"]


def left(run: Supervised, attempt: int) -> int:
    """Wait until an attempt's main process is gone and a remaining one trains; that one's pid."""

    def trains() -> int | None:
        known = [e for e in run.entries("left_training") if e["attempt"] == attempt]
        started = [e for e in run.entries("attempt_started") if e["attempt"] == attempt]
        pid = (run.status.get("pids") or {}).get("trainer")
        return pid if known and pid != started[0]["pid"] else None

    return int(run.wait(trains))


def test_killed_it_goes_on_from_its_checkpoint_whatever_becomes_of_daemons(
    run: Supervised,
) -> None:
    """The training's own end counts, not the script's; a later daemon knows what trains."""
    run.configure(command=IN_BACKGROUND, hold=25)
    run.start()
    trainer = left(run, 1)
    assert run.status["state"] == "running"
    daemon = run.status["pids"]["daemon"]
    os.kill(daemon, signal.SIGKILL)
    run.wait(lambda: run.status["pids"]["daemon"] != daemon and run.status["attached"])
    os.kill(trainer, signal.SIGKILL)
    run.wait(lambda: run.entries("attempt_ended"))
    run.let_go()
    assert run.finish() == 0, run.text
    first, second = run.entries("attempt_ended")
    assert (first["signal"], first["failure"]) == (9, "killed")
    assert (second["failure"], second["outcome"]) == ("completed", 0)
    assert run.weight() == uninterrupted()


def test_a_stop_reaches_it(run: Supervised) -> None:
    """The training saves, and the next run resumes."""
    run.configure(command=IN_BACKGROUND, hold=25)
    process = run.start()
    left(run, 1)
    process.send_signal(signal.SIGTERM)
    assert run.finish() == 75, run.text
    (end,) = run.entries("attempt_ended")
    assert end["saved"] is True
    assert run.run() == 0
    assert run.weight() == uninterrupted()


def test_what_does_not_train_is_ended_at_once_and_named(run: Supervised) -> None:
    """A service that a training leaves behind is ended at once, so it delays nothing."""
    script = f"sleep 1000 & {sys.executable} {TRAINER}"
    more: dict[str, Any] = {"command": ["bash", "-c", script]}
    run.configure(**more)
    assert run.run() == 0, run.text
    assert run.strays() == []
    assert "ended the processes that the main process left behind: sleep (" in run.text
    assert run.weight() == uninterrupted()
