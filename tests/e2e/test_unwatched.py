"""Launcher and daemon die at once, or the launcher is stopped: the messages state the facts."""

import json
import os
import signal
import sys

from supervisor.system.clock import parse_rfc3339
from supervisor.system.identity import start_ticks
from tests.e2e.conftest import Supervised

# It neither attaches nor receives its shell's SIGTERM.
TRAINER = """
import time
for step in range(1, 100000):
    print(f"step {step}", flush=True)
    time.sleep(0.05)
"""


def test_what_trains_on_without_a_supervisor_is_found(run: Supervised) -> None:
    """The next run reports such a trainer with pid and attempt, ends it, and records its end."""
    (run.folder / "t.py").write_text(TRAINER)
    (run.folder / "train.sh").write_text(f"{sys.executable} t.py\n")
    run.configure(command=["bash", "train.sh"], watch={"progress": r"step (?P<step>\d+)"})
    process = run.start()
    shell = run.wait(lambda: (run.status.get("pids") or {}).get("trainer"))
    run.wait(lambda: run.paths.train_log.exists() and "step 3" in run.log)
    daemon = run.status["pids"]["daemon"]
    os.kill(daemon, signal.SIGSTOP)
    process.send_signal(signal.SIGKILL)
    os.kill(daemon, signal.SIGKILL)
    process.wait()
    run.wait(lambda: start_ticks(daemon) is None and start_ticks(shell) is None)
    (left,) = run.strays()
    body = json.loads(run.command("status", "--json").stdout)
    assert (body["state"], body["live"]) == ("down", False)
    (found,) = body["still_running"]
    assert (found["pid"], found["attempt"]) == (left, 1)
    said = " ".join(run.command("status").stdout.split())
    assert f"(pid {left}, attempt 1): no supervisor watches it" in said
    assert "Nothing trains now" not in said
    assert f"kill -TERM {left}" in said
    run.configure(command=["true"])
    assert run.run() == 0
    assert (
        f"(pid {left}) of an earlier launcher still runs, and was asked to save and end" in run.text
    )
    assert left not in run.strays()  # its reaper may take its time
    (end,) = run.entries("attempt_unwatched")
    assert (end["attempt"], end["how"]) == (1, "ended")
    assert left in [one["pid"] for one in end["found"]]
    assert "went on without a supervisor" in " ".join(run.command("events").stdout.split())
    assert json.loads(run.command("status", "--json").stdout)["still_running"] == []


def test_an_end_that_nobody_saw_is_told_once(run: Supervised) -> None:
    """All are killed at once: the next supervisor reports the attempt's end, later ones do not."""
    run.configure(hold=5)
    process = run.start()
    trainer = run.wait_step(5)
    daemon = run.status["pids"]["daemon"]
    for pid in (daemon, trainer):
        os.kill(pid, signal.SIGSTOP)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for pid in (trainer, daemon):
        os.kill(pid, signal.SIGKILL)
    run.wait(lambda: not run.strays() and start_ticks(daemon) is None)
    assert run.command("status").stdout.startswith("e2e  down")
    assert run.run() == 0
    assert [end["how"] for end in run.entries("attempt_unwatched")] == ["gone"]
    assert run.run() == 0
    assert len(run.entries("attempt_unwatched")) == 1


def test_a_stopped_launcher_kills_nobody(run: Supervised) -> None:
    """A stopped launcher cannot kill: no message says it, no grace runs out, the trainer saves."""
    run.configure(hold=25, grace="1s")
    process = run.start()
    run.wait_step(5)
    process.send_signal(signal.SIGSTOP)
    assert run.command("stop", "--no-wait").returncode == 0
    run.wait(lambda: run.status.get("stopping") and run.status.get("launcher_frozen"))
    since = parse_rfc3339(run.status["stopping"]["since"])
    run.wait(lambda: parse_rfc3339(run.status["updated_at"]) > since + 2.5)
    assert run.status["state"] == "draining"
    said = " ".join(run.command("status").stdout.split())
    assert f"FROZEN: the launcher (pid {process.pid}) is stopped by a signal" in said
    assert "being killed" not in said
    assert f"kill -CONT {process.pid}" in said
    process.send_signal(signal.SIGCONT)
    assert run.finish() == 75
    (end,) = run.entries("attempt_ended")
    assert end["saved"] is True
    assert "the launcher goes on again" in run.text
