"""An exit with 0 before the end of training: hidden by a pipe, or against the trainer's record."""

import sys

from tests.e2e.conftest import Supervised

# Saves every tenth of 40 steps. `fail` happens at step 25 of the first attempt, or at each end.
SCRIPT = """
import json, os, sys, time
os.makedirs("out", exist_ok=True)
found = [int(n.split("-")[1]) for n in os.listdir("out") if n.startswith("checkpoint-")]
start, fail = max(found, default=0), sys.argv[1]
for step in range(start + 1, 41):
    print("step", step, flush=True)
    if step % 10 == 0:
        os.mkdir("out/.new"); open("out/.new/state.bin", "w").write(str(step))
        os.rename("out/.new", f"out/checkpoint-{step}")
    if step == 25 and not os.path.exists("failed"):
        open("failed", "w").close()
        if fail == "middle":
            raise RuntimeError("bad batch")
        if fail == "record":
            json.dump({"global_step": 25, "max_steps": 40}, open("out/trainer_state.json", "w"))
            sys.exit(0)
if fail == "end":
    raise RuntimeError("no upload")
"""


def configure(run: Supervised, fail: str, pipe: str = "") -> None:
    """A script behind a pipe that hides its exit code."""
    (run.folder / "t.py").write_text(SCRIPT)
    run.configure(
        command=["bash", "-c", f"{sys.executable} t.py {fail} {pipe}"],
        checkpoints={"directory": "out"},
        resume={"by": "trainer"},
        watch={"progress": r"step (?P<step>\d+)"},
    )


def test_a_traceback_behind_a_pipe_is_no_finish(run: Supervised) -> None:
    """`tee` exits with 0 after a traceback: the run resumes and trains to its end."""
    configure(run, "middle", "2>&1 | tee out.log")
    assert run.run() == 0, run.text
    first, second = run.entries("attempt_ended")
    assert (first["failure"], first["code"], first["step"]) == ("exception", 0, 25)
    assert (second["failure"], second["step"]) == ("completed", 40)


def test_its_own_record_of_fewer_steps_is_no_finish(run: Supervised) -> None:
    """The trainer exits with 0 at step 25, and its own record says 25 of 40."""
    configure(run, "record")
    assert run.run() == 0, run.text
    assert [end["step"] for end in run.entries("attempt_ended")] == [25, 40]
    assert "its own record (trainer_state.json) says step 25 of 40" in run.text


def test_a_training_that_is_done_is_not_started_for_ever(run: Supervised) -> None:
    """The script fails after its training each time.

    Without a new step, the second exit 0 finishes.
    """
    configure(run, "end", "2>&1 | cat")
    assert run.run() == 0, run.text
    assert len(run.entries("attempt_ended")) == 2
    assert "this attempt made no step and exited with 0 again" in run.text


ATTACHED = """
import os, signal
from supervisor.worker import attach
run = attach()
start = int(run.resume_from.name.split("-")[1]) if run.resume_from else 0
for step in range(start + 1, 41):
    run.beat(step=step)
    if step % 10 == 0:
        os.makedirs("out/.new"); open("out/.new/state.bin", "w").write(str(step))
        os.rename("out/.new", f"out/checkpoint-{step}")
    if step == 20 and start == 0:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_rank_that_is_killed_behind_a_shell_has_not_finished(run: Supervised) -> None:
    """A rank killed right after a save, with no step lost, has not finished; an orderly end has."""
    (run.folder / "t.py").write_text(ATTACHED)
    command = f"{sys.executable} t.py 2>/dev/null | cat; true"
    run.configure(command=["bash", "-c", command], checkpoints={"directory": "out"})
    assert run.run() == 0, run.text
    first, second = run.entries("attempt_ended")
    assert (first["code"], first["step"], first["doubt"]["kind"]) == (0, 20, "vanished")
    assert (second["failure"], second["step"]) == ("completed", 40)
