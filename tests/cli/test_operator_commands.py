"""stop, hold, resume, reload: intents in a file, from any shell, also while nothing runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from supervisor.core.vocabulary import Intent

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeRun


@pytest.mark.parametrize(
    ("verb", "intent"), [("stop", Intent.STOP), ("hold", Intent.HOLD), ("resume", Intent.RUN)]
)
def test_a_wish_is_written_while_nothing_runs(
    command: Command, fake_run: FakeRun, verb: str, intent: Intent
) -> None:
    """The command succeeds, says what it means, and writes the intent file."""
    done = command(verb, fake_run.run_dir)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("nothing runs" in done.stdout) is (verb != "resume")
    assert fake_run.intent().intent is intent
    assert json.loads(command(verb, "--json").stdout)["live"] is False


def test_stop_follows_until_the_run_has_ended(
    tmp_path: Path, fake_run: FakeRun, environment: dict[str, str]
) -> None:
    """`stop` waits while the trainer saves, reports it, and ends with the final state."""
    fake_run.write_status("running")
    holder = fake_run.hold_lock()
    stop = subprocess.Popen(
        [sys.executable, "-m", "supervisor", "stop"],
        cwd=tmp_path, env={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert stop.stdout is not None
    assert "running" in stop.stdout.readline()
    assert fake_run.intent().intent is Intent.STOP
    stopping = {"since": "2026-01-01T00:00:00Z", "grace_s": 120}
    fake_run.write_status("draining", stopping=stopping)
    assert "the trainer was asked to save and end (step 6,100)" in stop.stdout.readline()
    assert stop.poll() is None
    fake_run.write_status("stopped", reason="saved at step 6100")
    holder.kill()
    rest, _ = stop.communicate(timeout=20)
    assert stop.returncode == 0
    assert "demo  stopped" in rest


@pytest.mark.parametrize("intent", ["stop", "hold"])
def test_a_wish_that_no_daemon_heard_is_shown(
    command: Command, fake_run: FakeRun, intent: str
) -> None:
    """`run` would start nothing, so `status` says so, and how to resume."""
    fake_run.write_status("preempted", intent="run")
    command(intent)
    text = command("status").stdout
    assert f"{intent}: nothing starts until" in text
    assert text.index("supervisor resume") < text.index("supervisor run /etc/config.yaml")
    assert json.loads(command("status", "--json").stdout)["intent"] == intent
    assert json.loads(command("resume", "--json").stdout)["intent"] == "run"
    assert "supervisor resume" not in command("status").stdout


def test_a_hold_shows_while_the_attempt_goes_on(command: Command, fake_run: FakeRun) -> None:
    """The status shows the hold of a running attempt, and asks for no human afterwards."""
    fake_run.write_status("running")
    fake_run.hold_lock()
    command("hold")
    assert "hold: after this attempt no other is launched" in command("status").stdout
    fake_run.end()
    fake_run.write_status("held", reason="`supervisor hold` was asked for")
    assert "A human has to look" not in command("status").stdout


def test_no_wait_returns_at_once(command: Command, fake_run: FakeRun) -> None:
    """`--no-wait` returns while the trainer saves."""
    fake_run.write_status("running")
    fake_run.hold_lock()
    begun = time.monotonic()
    done = command("stop", "--no-wait")
    assert done.returncode == 0
    assert "asked to save and end" in done.stdout
    assert time.monotonic() - begun < 10


def test_reload_signals_nothing_it_cannot_prove(command: Command, fake_run: FakeRun) -> None:
    """A pid in status.json that is not the daemon of this run is not signalled."""
    done = command("reload")
    assert done.returncode == 2
    assert "nothing runs" in done.stderr
    holder = fake_run.hold_lock()
    with subprocess.Popen(["sleep", "60"]) as bystander:
        fake_run.write_status("running", pids={"launcher": holder.pid, "daemon": bystander.pid})
        done = command("reload")
        assert done.returncode == 70
        assert "is not the daemon of this run" in done.stderr
        assert bystander.poll() is None
        bystander.kill()


def test_resume_of_a_finished_run_says_so(command: Command, fake_run: FakeRun) -> None:
    """The message names --again."""
    fake_run.create()
    fake_run.record({"type": "decision", "state": "completed", "reason": "exit 0"})
    assert "--again" in command("resume").stdout


@pytest.mark.parametrize("verb", ["stop", "hold"])
def test_what_runs_without_a_supervisor_is_told(
    command: Command, fake_run: FakeRun, environment: dict[str, str], verb: str
) -> None:
    """The intent is written but no supervisor obeys it: the output names processes and commands."""
    fake_run.create()
    fake_run.write_status("running")
    marks = {**environment, "SUPERVISOR_RUN_ID": "r1", "SUPERVISOR_ATTEMPT": "3"}
    with subprocess.Popen(["sleep", "600"], env=marks) as left:
        try:
            done = command(verb, fake_run.run_dir)
            assert (done.returncode, done.stderr) == (0, "")
            assert "nothing runs" not in done.stdout
            assert f"still runs: sleep 600 (pid {left.pid}, attempt 3)" in done.stdout
            assert "No supervisor can stop that process" in done.stdout
            assert f"\n  kill -TERM {left.pid}\n" in done.stdout
            assert "\n  supervisor run /etc/config.yaml\n" in done.stdout
            fake_run.write_status("completed")
            done = command(verb, fake_run.run_dir)
            assert f"\n  kill -TERM {left.pid}\n" in done.stdout
            assert "supervisor run" not in done.stdout
        finally:
            left.kill()


def test_a_stop_does_not_wait_for_a_stopped_launcher(command: Command, fake_run: FakeRun) -> None:
    """It reports the stopped launcher and ends: until it goes on the trainer is not asked."""
    fake_run.write_status("running")
    holder = fake_run.hold_lock()
    holder.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, holder.pid, os.WSTOPPED)
    done = command("stop")
    assert done.returncode == 1
    assert "the daemon has not answered" not in done.stderr
    assert "the stop is on record" in done.stderr
    assert "asked to save" not in done.stdout
    assert f"`kill -CONT {holder.pid}`" in done.stdout
    assert fake_run.intent().intent is Intent.STOP
    for words in (["stop", "--no-wait"], ["hold"]):
        done = command(*words)
        assert (done.returncode, "asked to save" in done.stdout) == (0, False)
        assert f"`kill -CONT {holder.pid}`" in done.stdout
    said = command("stop", "--json")
    assert (said.returncode, json.loads(said.stdout)["launcher_frozen"]) == (1, True)
