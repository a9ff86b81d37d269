"""A trainer that accepts its resume argument and ignores it is ended before it saves."""

import sys

import pytest

from tests.e2e.conftest import Supervised

# Prints or beats its steps; dies once at step 46; uses its argument only with --resumes.
_TRAINER = """
import os, sys, time
resumes = "--resumes" in sys.argv and "--from" in sys.argv
start = int(sys.argv[-1].rpartition("-")[2]) if resumes else 0
if "--beats" in sys.argv:
    from supervisor.worker import attach
    run = attach()
for step in range(start + 1, 51):
    time.sleep(0.15)
    if "--beats" in sys.argv:
        run.beat(step=step)
    else:
        print(f"step {step}", flush=True)
    if step % 10 == 0:
        os.makedirs(f"out/checkpoint-{step}", exist_ok=True)
        with open(f"out/checkpoint-{step}/state.bin", "w") as file:
            file.write(f"{step} {os.environ['SUPERVISOR_ATTEMPT']}")
    if step == 46 and not os.path.exists("died"):
        open("died", "w").close()
        os._exit(1)
"""


def _configure(run: Supervised, *words: str) -> None:
    script = run.folder / "ignores.py"
    script.write_text(_TRAINER)
    run.configure(
        command=[sys.executable, str(script), *words],
        checkpoints={"directory": "out"},
        watch={} if "--beats" in words else {"progress": r"step (?P<step>\d+)"},
        resume={"args": ["--from", "{checkpoint}"]},
    )


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("--beats",)], ids=["log", "beats"])
def test_it_is_ended_before_its_next_save_and_held(run: Supervised, words: tuple[str, ...]) -> None:
    """The attempt ends before it writes a checkpoint: exit 1 with both steps."""
    _configure(run, *words)
    assert run.run("--plain") == 1
    assert run.status["failure"] == "resume_ignored"
    assert "which begin where this run's fresh start began" in run.status["reason"]
    saves = (run.folder / "out").glob("checkpoint-*/state.bin")
    assert {path.read_text().split()[1] for path in saves} == {"1"}
    assert run.strays() == []
    resumed = run.command("resume")
    assert "trusts the trainer to resume" in resumed.stdout
    assert run.run("--plain") == 0


def test_one_that_resumes_is_left_alone(run: Supervised) -> None:
    """A trainer that reads its argument resumes, and nothing is doubted."""
    _configure(run, "--resumes")
    assert run.run("--plain") == 0
    assert run.entries("not_resumed") == []
    assert run.entries("resume_doubted") == []
    assert len(run.entries("attempt_started")) == 2
