"""A helper of the trainer attaches and reports `finished`; the run goes on all the same."""

import sys

from tests.e2e.conftest import Supervised

HELPER = """
from supervisor.worker import attach
run = attach()
for step in range(1, 6):
    run.beat(step=step)
run.finish()
"""
TRAINER = """
import os, subprocess, sys, time
from pathlib import Path
from supervisor.worker import attach
run = attach()
out = run.checkpoint_dir
first = int(run.resume_from.name.split("-")[1]) + 1 if run.resume_from else 1
for step in range(first, 41):
    time.sleep(0.02)
    run.beat(step=step)
    if step == 10:
        (out / "new").mkdir()
        (out / "new" / "state.bin").write_text("x" * 9)
        (out / "new").rename(out / "checkpoint-10")
    if step == 20:
        subprocess.run([sys.executable, "helper.py"], check=True)
    if step == 25 and run.attempt == 1:
        os.kill(os.getpid(), 9)
run.finish()
"""


def test_a_run_whose_helper_has_finished_goes_on(run: Supervised) -> None:
    """The trainer, killed at step 25, is relaunched, and ends at its last step."""
    (run.folder / "helper.py").write_text(HELPER)
    (run.folder / "trainer.py").write_text(TRAINER)
    run.configure(command=[sys.executable, "trainer.py"])
    assert run.run() == 0
    ends = [(e["signal"], e["outcome"], e["step"]) for e in run.entries("attempt_ended")]
    assert ends == [(9, None, 25), (None, 0, 40)]
