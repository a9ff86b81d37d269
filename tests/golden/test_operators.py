"""The records of an operator's commands: stop, hold, resume, reload."""

import os
import signal

from tests.golden.conftest import Cold
from tests.golden.recording import hold_record, hold_status


def test_stop_and_resume(run: Cold) -> None:
    """`stop` saves and ends the run; `run` starts nothing until `resume`."""
    run.configure(hold=25)
    run.start()
    run.wait_step(25)
    assert run.command("stop").returncode == 0
    assert run.finish() == 75
    hold_status(run, "stop", "stopped")
    assert run.run() == 75
    assert run.command("resume").returncode == 0
    assert run.run() == 0
    hold_record(run, "stop")


def test_hold(run: Cold) -> None:
    """`hold` is given, taken back and given again; the attempt's death brings no launch."""
    run.configure(hold=15)
    run.start()
    trainer = run.wait_step(15)
    for word, intent in (("hold", "hold"), ("resume", "run"), ("hold", "hold")):
        assert run.command(word).returncode == 0
        run.wait(lambda wanted=intent: run.status.get("intent") == wanted)
    run.wait_saved(10)
    hold_status(run, "hold", "running")
    os.kill(trainer, signal.SIGKILL)
    assert run.finish() == 1
    hold_status(run, "hold", "held")
    assert run.run() == 1
    assert run.command("resume").returncode == 0
    assert run.run() == 0
    hold_record(run, "hold")


def test_reload(run: Cold) -> None:
    """A new daemon continues the same attempt."""
    run.configure(hold=15)
    run.start()
    run.wait_step(15)
    before = run.status["pids"]["daemon"]
    assert run.command("reload").returncode == 0
    run.wait(lambda: run.status["pids"]["daemon"] != before)
    run.wait_step(15)
    run.let_go()
    assert run.finish() == 0
    hold_record(run, "reload")
