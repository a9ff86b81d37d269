"""A daemon takes over the stops, intents and kills of one that died, and forgets none."""

import os
import signal
import sys

import pytest

from supervisor.core.vocabulary import Intent
from supervisor.rundir.intent import write_intent
from supervisor.system.identity import start_ticks
from tests.e2e.conftest import HANG, Supervised, uninterrupted

STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True)"


def kill_daemon(run: Supervised) -> None:
    """Kill the daemon; returns once it is gone."""
    daemon = run.status["pids"]["daemon"]
    os.kill(daemon, signal.SIGKILL)
    run.wait(lambda: start_ticks(daemon) is None)


def test_grace_ends_under_a_new_daemon(run: Supervised) -> None:
    """A trainer that ignores SIGTERM is killed at the end of its grace, also under a new daemon."""
    command = [sys.executable, "-c", f"{STUBBORN}; time.sleep(300)"]
    run.configure(command=command, grace="3s")
    process = run.start()
    run.wait(lambda: run.paths.train_log.exists() and "up" in run.log)
    run.wait(lambda: run.status.get("state") == "running")
    process.send_signal(signal.SIGTERM)
    run.wait(lambda: run.entries("stop_requested"))
    kill_daemon(run)
    assert run.finish() == 75
    (end,) = run.entries("attempt_ended")
    assert end["stop_requested"]


def test_stop_is_remembered_when_the_trainer_ends_before_the_next_daemon(run: Supervised) -> None:
    """SIGTERM, the daemon dies, the trainer saves and ends: preempted, not relaunched."""
    run.configure(env={"STEP_S": "0.05", "STEPS": "400"})
    process = run.start()
    run.wait_step(5)
    process.send_signal(signal.SIGTERM)
    run.wait(lambda: run.entries("stop_requested"))
    kill_daemon(run)
    assert run.finish() == 75
    assert len(run.entries("attempt_started")) == 1
    (end,) = run.entries("attempt_ended")
    assert (end["stop_requested"], end["saved"]) == ("SIGTERM", True)


def test_stop_wish_uttered_while_no_daemon_listens(run: Supervised) -> None:
    """An intent written while the daemon is frozen, which then dies, is obeyed by the next."""
    run.configure(env={"STEP_S": "0.05", "STEPS": "400"})
    run.start()
    run.wait_step(5)
    daemon = run.status["pids"]["daemon"]
    os.kill(daemon, signal.SIGSTOP)
    write_intent(run.paths.intent, Intent.STOP)
    os.kill(daemon, signal.SIGKILL)
    assert run.finish() == 75
    assert run.status["state"] == "stopped"
    (end,) = run.entries("attempt_ended")
    assert (end["stop_requested"], end["saved"]) == ("intent", True)


def test_hold_wish_is_not_forgotten_with_the_daemon(run: Supervised) -> None:
    """`hold`, then the daemon dies, then the trainer: no launch follows."""
    run.configure(env={"STEP_S": "0.05", "STEPS": "400"})
    run.start()
    trainer = run.wait_step(5)
    write_intent(run.paths.intent, Intent.HOLD)
    run.wait(lambda: run.entries("intent"))
    before = run.status["pids"]["daemon"]
    kill_daemon(run)
    run.wait(lambda: run.status["pids"]["daemon"] != before)
    os.kill(trainer, signal.SIGKILL)
    assert run.finish() == 1
    assert len(run.entries("attempt_started")) == 1


@pytest.mark.slow
def test_hang_being_ended_is_no_stop_for_the_next_daemon(run: Supervised) -> None:
    """The daemon dies between SIGTERM and SIGKILL to a hung trainer: the run goes on."""
    run.configure(env={"FAULTS": '{"1": [15, "deaf"]}'}, watch=HANG)
    run.start()
    run.wait(lambda: run.status.get("state") == "killing")
    run.wait(lambda: any(e["failure"] == "hang" for e in run.entries("incident")))
    run.wait(lambda: "SIGTERM" in run.log)
    kill_daemon(run)
    assert run.finish() == 0
    first = run.entries("attempt_ended")[0]
    assert (first["failure"], first["stop_requested"]) == ("hang", None)


def test_infinite_loss_is_recorded_and_survived(run: Supervised) -> None:
    """A trainer that beats an infinite loss and dies is judged like any other."""
    run.configure(env={"FAULTS": '{"1": [15, "diverge"]}'})
    run.start()
    assert run.finish() == 0
    assert [e["attempt"] for e in run.entries("attempt_ended")] == [1, 2]
    assert run.entries("attempt_ended")[0]["loss"] is None


def test_pruning_spares_what_a_rollback_goes_back_to(run: Supervised) -> None:
    """With `keep: 1` the checkpoint that a rollback needs is still there."""
    env = {"FAULTS": '{"1": [15, "nan"]}', "SAVE_EVERY": "5", "STEP_S": "0.01"}
    run.configure(checkpoints={"keep": 1}, env=env)
    assert run.run() == 0
    (end, _) = run.entries("attempt_ended")
    assert (end["failure"], end["action"]) == ("non_finite_loss", "rollback")
    assert run.entries("attempt_started")[1]["checkpoint"]["step"] == 5
    assert run.weight() == uninterrupted()
