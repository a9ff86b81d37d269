"""The records of runs whose launcher or ranks die, or in which everything stands still."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from supervisor.system.identity import start_ticks
from tests.e2e.conftest import TRAINER
from tests.golden.conftest import Cold
from tests.golden.recording import hold_record, hold_status


def test_a_killed_launcher(run: Cold) -> None:
    """The trainer saves and ends, its daemon records the end, and the next run resumes."""
    run.configure(hold=15)
    process = run.start()
    run.wait_step(15)
    daemon = run.status["pids"]["daemon"]
    process.kill()
    process.wait()
    run.wait(lambda: start_ticks(daemon) is None)
    hold_status(run, "launcher-killed", "ended")
    assert run.run() == 0
    hold_record(run, "launcher-killed")


def test_all_killed(run: Cold) -> None:
    """The next supervisor finds the attempt gone."""
    run.configure(hold=15)
    process = run.start()
    trainer = run.wait_step(15)
    daemon = run.status["pids"]["daemon"]
    for pid in (daemon, trainer):
        os.kill(pid, signal.SIGSTOP)
    process.kill()
    process.wait()
    for pid in (trainer, daemon):
        os.kill(pid, signal.SIGKILL)
    run.wait(lambda: not run.strays() and start_ticks(daemon) is None)
    assert run.run() == 0
    hold_record(run, "all-killed")


# It obeys a stop once the file `gate` exists.
SLOW_TO_STOP = """
import os, time
from supervisor.worker import attach
run = attach()
while not (os.path.exists("gate") and run.should_stop):
    time.sleep(0.02)
    run.beat(step=1)
run.exit_preempted(step=1)
"""


@pytest.mark.slow
def test_all_stood_still(run: Cold) -> None:
    """A machine that is suspended during a stop adds the suspend to the grace."""
    run.script(SLOW_TO_STOP)
    process = run.start()
    run.wait_step(1)
    process.terminate()
    run.wait(lambda: run.entries("stop_requested"))
    pids = [run.status["pids"][who] for who in ("trainer", "daemon", "launcher")]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(7)
    for pid in reversed(pids):
        os.kill(pid, signal.SIGCONT)
    run.wait(lambda: run.entries("suspended"))
    run.let_go()
    assert run.finish() == 75
    hold_record(run, "suspended")


# After its last step it works on one line without another call, until the file `on` exists. So the
# time of a look does not decide which signs of work it finds.
WORKING = """
import os, time
from supervisor.worker import attach
run = attach()
for step in range(1, 4):
    time.sleep(0.05)
    run.beat(step=step)
while not os.access("on", os.F_OK):
    pass
run.finish(step=3)
"""
WAITING = "until [ -e on ]; do sleep 0.1; done"


def go_on(folder: Path) -> None:
    """Let the command come to its end."""
    (folder / "on").touch()


@pytest.mark.slow
def test_work_without_a_step(run: Cold) -> None:
    """A trainer that computes past its deadline is reported, and left alone."""
    run.script(WORKING, watch={"heartbeat_timeout": "2s"})
    run.start()
    run.wait(lambda: run.entries("looked"))
    go_on(run.folder)
    assert run.finish() == 0
    hold_record(run, "looked")


@pytest.mark.slow
def test_ranks_that_are_gone(run: Cold) -> None:
    """All ranks have ended, and the shell that started them goes on."""
    run.configure(hold=15, command=["bash", "-c", f"{sys.executable} {TRAINER}; {WAITING}"])
    run.start()
    run.wait_step(15)
    run.let_go()
    run.wait(lambda: run.entries("ranks_gone"))
    go_on(run.folder)
    assert run.finish() == 0
    hold_record(run, "ranks-gone")
