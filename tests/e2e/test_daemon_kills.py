"""SIGKILL of the daemon at any moment: one attempt at a time, each end judged once, equal bits.

DAEMON_KILLS is the number of kills in each run, at random moments. The time between two kills
grows, because the launcher backs off.
"""

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import pytest

from supervisor.system import procfs
from tests.e2e.conftest import Supervised, uninterrupted

KILLS = int(os.environ.get("DAEMON_KILLS", "4"))


def daemon_of(run: Supervised) -> int | None:
    """The pid of the launcher's child that runs the daemon; None before there is one."""
    assert run.process is not None
    for pid in procfs.children(run.process.pid) or ():
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if any(word.endswith(b"supervisor/daemon/__main__.py") for word in words):
                return pid
    return None


def kill_at_random(run: Supervised, seed: int, longest_s: float) -> int:
    """Kill one daemon after another, each at a random moment of its life; how many died."""
    chance, killed = random.Random(seed), set[int]()
    assert run.process is not None
    while len(killed) < KILLS and run.process.poll() is None:
        pid = daemon_of(run)
        if pid is None or pid in killed:
            time.sleep(0.002)
            continue
        time.sleep(chance.uniform(0.0, longest_s))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
    return len(killed)


def check_record(run: Supervised, attempts: int) -> None:
    """Check that each attempt ended once, in order, and none started over another."""
    ends = [entry["attempt"] for entry in run.entries("attempt_ended")]
    assert ends == list(range(1, attempts + 1))
    order = [
        (entry["type"], entry["attempt"])
        for entry in run.entries()
        if entry["type"] in ("attempt_started", "attempt_ended")
    ]
    living = 0
    for kind, number in order:
        assert living in (0, number), order
        living = number if kind == "attempt_started" else 0
    assert run.log.count(" begins at step ") == attempts
    assert run.strays() == []


@pytest.mark.parametrize("seed", [1, 2])
def test_at_random_moments(run: Supervised, seed: int) -> None:
    """The trainer dies twice while daemons are killed from the first launch to the end."""
    faults = '{"1": [12, "kill"], "2": [25, "exit9"]}'
    run.configure(hold=38, env={"STEP_S": "0.1", "FAULTS": faults})
    run.start()
    killed = kill_at_random(run, seed, 0.2 + 0.6 * seed)
    run.let_go()
    assert run.finish() == 0
    assert killed == KILLS
    check_record(run, 3)
    first, second, third = run.entries("attempt_ended")
    assert (first["signal"], second["code"], third["code"]) == (9, 9, 0)
    assert run.status["budget"]["today"] == 2
    assert run.weight() == uninterrupted()


def test_at_random_moments_of_a_stop(run: Supervised) -> None:
    """Daemons are killed from the signal on: the run is saved and preempted, and resumes."""
    run.configure(env={"STEP_S": "0.3"})
    process = run.start()
    run.wait_step(5)
    process.send_signal(signal.SIGTERM)
    kill_at_random(run, 3, 0.5)
    assert run.finish() == 75
    check_record(run, 1)
    (end,) = run.entries("attempt_ended")
    assert end["saved"] is True
    assert end["stop_requested"] is not None
    run.configure(env={"STEP_S": "0.01"})
    assert run.run() == 0
    assert run.entries("attempt_started")[1]["checkpoint"]["step"] == end["step"]
    assert run.weight() == uninterrupted()


def test_while_the_run_is_being_held(run: Supervised) -> None:
    """The run is held once, whichever daemon decides it: exit 1, and the next `run` stays held."""
    run.configure(env={"FAULTS": '{"*": [3, "exit78"]}'})
    run.start()
    kill_at_random(run, 4, 0.6)
    assert run.finish() == 1
    assert run.log.count(" begins at step ") == 1
    assert [e["state"] for e in run.entries("decision")] == ["held"]
    assert run.run() == 1
    assert len(run.entries("attempt_started")) == 1


def test_reload_again_and_again(run: Supervised) -> None:
    """After three `supervisor reload` the trainer keeps its pid, and nothing is counted twice."""
    run.configure(env={"STEP_S": "0.1", "STEPS": "1000"})
    run.start()
    trainer = run.wait_step(3)
    for _ in range(3):
        before = run.status["pids"]["daemon"]
        done = run.command("reload")
        assert done.returncode == 0, done.stderr
        run.wait(lambda old=before: run.status["pids"]["daemon"] != old)
        assert run.status["pids"]["trainer"] == trainer
    assert run.process is not None
    run.process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    check_record(run, 1)
    assert run.entries("attempt_ended")[0]["saved"] is True
