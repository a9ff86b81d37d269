"""A dead daemon, a dead launcher, or both: the run goes on, or saves and ends; nothing is left."""

import os
import signal
import time

import pytest

from supervisor.system.identity import start_ticks
from tests.e2e.conftest import Supervised, uninterrupted


def test_killed_daemon_is_not_noticed_by_the_trainer(run: Supervised) -> None:
    """After three kills of the daemon the same trainer ends with the same result."""
    run.configure(hold=25, env={"STEP_S": "0.05"})
    run.start()
    trainer = run.wait_step(3)
    for _ in range(3):
        before = run.status["pids"]["daemon"]
        os.kill(before, signal.SIGKILL)
        run.wait(lambda old=before: run.status["pids"]["daemon"] != old)
        assert run.status["pids"]["trainer"] == trainer
    run.let_go()
    assert run.finish() == 0
    assert len(run.entries("attempt_started")) == 1
    assert run.weight() == uninterrupted()


def test_an_end_while_no_daemon_lives_is_not_lost(run: Supervised) -> None:
    """The trainer is killed right after the daemon: the next daemon learns its exit status."""
    run.configure(hold=15)
    run.start()
    trainer = run.wait_step(12)
    os.kill(run.status["pids"]["daemon"], signal.SIGKILL)
    os.kill(trainer, signal.SIGKILL)
    run.let_go()
    assert run.finish() == 0
    first, second = run.entries("attempt_ended")
    assert (first["signal"], second["code"]) == (9, 0)
    assert run.weight() == uninterrupted()


def test_killed_launcher_lets_the_trainer_save_and_end(run: Supervised) -> None:
    """Nothing trains unsupervised; the next run resumes at the saved step."""
    run.configure(hold=25)
    process = run.start()
    run.wait_step(5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    run.wait(lambda: not run.strays())
    (end,) = run.wait(lambda: run.entries("attempt_ended"))
    assert end["saved"] is True
    daemon = run.status["pids"]["daemon"]
    run.wait(lambda: start_ticks(daemon) is None)
    assert run.run() == 0
    assert run.entries("attempt_started")[1]["checkpoint"]["step"] == end["step"]
    assert run.weight() == uninterrupted()


def test_launcher_and_daemon_killed_together(run: Supervised) -> None:
    """Only the kernel's parent-death signal tells the trainer, and it saves."""
    run.configure(hold=25, env={"SAVE_EVERY": "1000"})
    process = run.start()
    run.wait_step(5)
    os.kill(run.status["pids"]["daemon"], signal.SIGSTOP)
    daemon = run.status["pids"]["daemon"]
    process.send_signal(signal.SIGKILL)
    os.kill(daemon, signal.SIGKILL)
    process.wait()
    run.wait(lambda: not run.strays())
    # With this SAVE_EVERY only a stop saves.
    (saved,) = (int(p.name.split("-")[1]) for p in run.run_dir.glob("checkpoint-*"))
    assert run.run() == 0
    assert run.entries("attempt_started")[1]["checkpoint"]["step"] == saved
    assert run.weight() == uninterrupted()


def test_a_frozen_daemon_excuses_what_it_did_not_see(run: Supervised) -> None:
    """Daemon and trainer are frozen for 9 s: the daemon judges no hang."""
    run.configure(hold=25, watch={"heartbeat_timeout": "4s"})
    run.start()
    trainer = run.wait_step(3)
    daemon = run.status["pids"]["daemon"]
    for pid in (daemon, trainer):
        os.kill(pid, signal.SIGSTOP)
    time.sleep(9)
    for pid in (daemon, trainer):
        os.kill(pid, signal.SIGCONT)
    run.let_go()
    assert run.finish() == 0
    assert [e["failure"] for e in run.entries("attempt_ended")] == ["completed"]


def test_nothing_is_left_in_memory_after_the_end(run: Supervised) -> None:
    """The run's directory, heartbeats included, is gone from /dev/shm."""
    assert run.run() == 0
    (created,) = run.entries("run_created")
    shared = f"/dev/shm/train-supervisor-{os.getuid()}/{created['run_id']}"
    assert not os.path.exists(shared)


@pytest.mark.slow
def test_a_frozen_daemon_is_replaced_when_a_stop_goes_unanswered(run: Supervised) -> None:
    """A stopped daemon misses a SIGTERM: the launcher replaces it, and the trainer saves."""
    run.configure(env={"STEP_S": "0.1", "STEPS": "2000"})
    process = run.start()
    run.wait_step(5)
    os.kill(run.status["pids"]["daemon"], signal.SIGSTOP)
    process.send_signal(signal.SIGTERM)
    assert run.finish(50) == 75
    assert run.entries("attempt_ended")[-1]["saved"] is True
    assert len(run.entries("daemon_started")) == 2
    assert run.strays() == []
