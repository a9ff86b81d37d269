"""The messages between launcher and daemon: every message and field, from real processes.

Each message is in its scenario's file once, sorted: their order is tested with the core. The record
of such a run is compared, too.
"""

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import HANG, TRAINER
from tests.e2e.test_no_daemon import BROKEN, Installed
from tests.golden.conftest import Overheard
from tests.golden.recording import hold_messages, hold_record, hold_status


def test_a_death_of_each_and_a_stop(overheard: Overheard) -> None:
    """The trainer is killed, then the daemon; the next daemon learns both, and is told to stop."""
    run = overheard
    run.configure(hold=15)
    process = run.start()
    os.kill(run.wait_step(15), signal.SIGKILL)
    run.wait_step(15, 2)
    daemon = run.status["pids"]["daemon"]
    os.kill(daemon, signal.SIGKILL)
    run.wait(lambda: run.status["pids"]["daemon"] != daemon)
    process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    hold_messages(run, "deaths")
    hold_record(run, "deaths")


def test_one_is_parked(overheard: Overheard) -> None:
    """The interpreter is parked, and the next launch uses it."""
    run = overheard
    run.configure(hold=15, launch={"mode": "auto"})
    run.start()
    trainer = run.wait_step(15)
    run.wait(lambda: run.status["launch"]["parked"]["state"] == "waiting")
    run.wait_saved(10)
    hold_status(run, "warm", "parked")
    os.kill(trainer, signal.SIGKILL)
    run.wait_step(15, 2)
    run.wait(lambda: run.status["launch"]["parked"]["state"] == "waiting")
    run.let_go()
    assert run.finish() == 0
    hold_messages(run, "parked")
    hold_record(run, "warm")


def test_what_a_script_leaves_training(overheard: Overheard) -> None:
    """Main exits with 0: the daemon orders how long the remaining processes may live."""
    run = overheard
    script = f"{sys.executable} {TRAINER} & until [ -e go ]; do sleep 0.05; done; exit 0"
    run.configure(hold=15, command=["bash", "-c", script])
    run.start()
    run.wait_step(15)
    (run.folder / "go").touch()
    run.wait(lambda: run.entries("left_training"))
    run.wait_step(15)
    run.let_go()
    assert run.finish() == 0
    hold_messages(run, "left")
    hold_record(run, "left")


DEAF = """
import signal, time
from supervisor.worker import attach
run = attach()
for step in range(1, 8):
    time.sleep(0.05)
    run.beat(step=step)
    if step == 5 and run.attempt == 1:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        time.sleep(600)
run.finish(step=7)
"""


@pytest.mark.slow
def test_a_hang(overheard: Overheard) -> None:
    """A hang is looked at, asked for its stacks, ended, and relaunched."""
    run = overheard
    run.script(DEAF, watch=HANG)
    assert run.run() == 0
    hold_messages(run, "hang")
    hold_record(run, "hang")


def test_a_third_interrupt(overheard: Overheard) -> None:
    """Each interrupt is passed on; the third kills."""
    run = overheard
    run.configure(hold=15, env={"DEAF": 1})
    process = run.start()
    run.wait_step(15)
    for count in (1, 2, 3):
        process.send_signal(signal.SIGINT)
        if count < 3:
            run.wait(lambda wanted=count: run.status.get("interrupts") == wanted)
    assert run.finish() == 75
    hold_messages(run, "interrupts")
    hold_record(run, "interrupts")


def test_no_such_program(overheard: Overheard) -> None:
    """The launch is refused."""
    overheard.configure(command=["no-such-program-anywhere"])
    assert overheard.run() == 1
    hold_messages(overheard, "refused")
    hold_record(overheard, "refused")


def test_a_lock_is_removed(overheard: Overheard) -> None:
    """Launcher and daemon make the lock anew."""
    run = overheard
    run.configure(hold=15)
    run.start()
    run.wait_step(15)
    run.paths.lock.unlink()
    run.wait(lambda: len(run.entries("daemon_started")) == 2)
    run.wait_step(15)
    run.let_go()
    assert run.finish() == 0
    hold_messages(run, "relock")
    hold_record(run, "relock")


class Broken(Overheard, Installed):
    """A run under its own installation, whose messages are kept."""


def test_a_daemon_that_cannot_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken upgrade fails one daemon, which says why; the next daemon goes on."""
    run = Broken(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(run.package.parent))
    try:
        run.configure(hold=15)
        run.start()
        run.wait_step(15)
        source, seen = run.package / BROKEN, run.folder / "seen"
        once = f"import os\nif not os.path.exists({str(seen)!r}):\n"
        once += f"    open({str(seen)!r}, 'w').close()\n    raise RuntimeError('half an upgrade')\n"
        source.write_text(once + source.read_text())
        before = run.status["pids"]["daemon"]
        os.kill(before, signal.SIGKILL)
        run.wait(lambda: run.status["pids"]["daemon"] != before)
        run.wait_step(15)
        run.let_go()
        assert run.finish() == 0
        hold_messages(run, "broken")
        hold_record(run, "broken")
    finally:
        run.close()
