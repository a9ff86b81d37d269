"""The record of each kind of run: every entry and field, in order."""

import os
import signal

import pytest

from tests.e2e.conftest import Supervised
from tests.golden.conftest import Cold
from tests.golden.recording import hold_ledger, hold_record, hold_status


def test_finished(run: Cold) -> None:
    """One attempt trains to the end, and a second `run` changes nothing."""
    run.configure(hold=25)
    run.start()
    run.wait_step(25)
    run.wait_saved(20)
    hold_status(run, "finished", "running")
    run.let_go()
    assert run.finish() == 0
    assert run.run() == 0
    hold_record(run, "finished")


def test_again(run: Supervised) -> None:
    """`run --again` reopens a finished run."""
    run.configure(env={"STEPS": "10"})
    assert run.run() == 0
    run.configure(hold=20, env={"STEPS": "20"})
    run.start("--again")
    run.wait_step(20)
    run.let_go()
    assert run.finish() == 0
    hold_record(run, "again")


def test_killed_and_relaunched(run: Supervised) -> None:
    """A trainer killed by SIGKILL is relaunched from the newest checkpoint."""
    run.configure(hold=15)
    run.start()
    os.kill(run.wait_step(15), signal.SIGKILL)
    run.wait_step(15, 2)
    hold_status(run, "killed", "relaunched")
    run.let_go()
    assert run.finish() == 0
    hold_record(run, "killed")


def test_crash_in_backoff(run: Supervised) -> None:
    """The run waits after a failure, and a stop ends the wait."""
    run.configure(restart={"backoff": "300s"}, env={"FAULTS": '{"*": [3, "exit9"]}'})
    process = run.start()
    run.wait(lambda: run.status.get("state") == "backoff")
    hold_status(run, "backoff", "waiting")
    process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    hold_record(run, "backoff")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_stopped_by_a_signal(run: Supervised, name: str) -> None:
    """A signal ends the run with exit 75 and a save; the next run resumes."""
    run.configure(hold=25)
    process = run.start()
    run.wait_step(25)
    process.send_signal(getattr(signal, name))
    assert run.finish() == 75
    hold_record(run, name.lower())
    if name == "SIGTERM":
        run.start()
        run.let_go()
        assert run.finish() == 0
        hold_ledger(run, "sigterm-and-on")
