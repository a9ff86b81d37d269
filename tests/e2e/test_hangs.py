"""A hang needs evidence: a trainer at work is left alone, one that only waits is ended."""

import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import HANG, Supervised

TRAINER = """
import os, subprocess, sys, time
from pathlib import Path
from supervisor.worker import attach

run, out = attach(), Path(os.environ["SUPERVISOR_RUN_DIR"])
first = 1 if run.resume_from is None else int(run.resume_from.name[5:-3]) + 1
for step in range(first, 21):
    time.sleep(0.05)
    run.beat(step=step)
    print(f"step {step}", flush=True)
    if step % 10 == 0:
        import zipfile
        with zipfile.ZipFile(out / "saving.tmp", "w") as archive:
            archive.writestr("step/data.pkl", b"N.")
            archive.writestr("step/version", b"3")
        os.replace(out / "saving.tmp", out / f"step-{step}.pt")
print("what comes after the last step", flush=True)
"""
CHILD = "import time; end = time.monotonic() + 9\nwhile time.monotonic() < end: pass"


def script(run: Supervised, then: str) -> Path:
    """The trainer, and the code that follows its last step."""
    path = run.folder / "after.py"
    path.write_text(f"{TRAINER}{then}\n")
    return path


@pytest.mark.slow
def test_an_evaluation_in_a_child_is_work(run: Supervised) -> None:
    """A child computes for 9 s with a limit of 2 s: the run reports it and goes on."""
    path = script(run, f"subprocess.run([sys.executable, '-c', {CHILD!r}])")
    run.configure(command=[sys.executable, str(path)], watch=HANG)
    assert run.run() == 0
    assert len(run.entries("attempt_ended")) == 1
    (looked,) = run.entries("looked")
    assert looked["is_work"] is True
    assert "the attempt is at work" in run.text


@pytest.mark.slow
def test_a_final_evaluation_that_only_waits_costs_one_kill(run: Supervised) -> None:
    """A look takes the wait for a hang: the next attempt, at this step, has twice the time."""
    path = script(run, "time.sleep(14)")
    watch = {"heartbeat_timeout": "2s", "startup_timeout": "10s"}
    run.configure(command=[sys.executable, str(path)], watch=watch)
    assert run.run() == 0
    failures = [entry["failure"] for entry in run.entries("attempt_ended")]
    assert failures == ["hang", "completed"]
    assert run.entries("attempt_started")[1]["checkpoint"]["step"] == 20
    assert "it is given 20 s" in run.text


@pytest.mark.slow
def test_a_shell_that_waits_for_nobody_is_ended(run: Supervised) -> None:
    """The rank of a shell died: the shell is ended a minute later, and judged by its log."""
    path = script(run, "run.finish() if run.attempt > 1 else [][1]")
    line = f"{sys.executable} {path}; [ $SUPERVISOR_ATTEMPT = 1 ] && sleep 600; exit 0"
    run.configure(command=["sh", "-c", line])
    run.start()
    (gone,) = run.wait(lambda: run.entries("ranks_gone"))
    assert gone["ended_well"] is False
    assert run.finish(150) == 0
    first, _ = run.entries("attempt_ended")
    assert (first["failure"], first["exception"]) == ("exception", "IndexError")
    assert run.strays() == []
