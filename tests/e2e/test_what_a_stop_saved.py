"""A stop with a trainer that does not handle stops: its routine checkpoint is not the stop's."""

import signal
import sys

import pytest

from tests.e2e.conftest import Supervised

# Saves at 3 and waits at 5, between two routine saves; with `again` it saves on SIGTERM.
SCRIPT = """
import os, signal, sys, time
def save(step):
    os.makedirs(f"out/checkpoint-{step}", exist_ok=True)
    with open(f"out/checkpoint-{step}/state.bin", "w") as file: file.write(str(step))
def stop(*_):
    save(5); sys.exit(0)
if "again" in sys.argv: signal.signal(signal.SIGTERM, stop)
for step in range(1, 6):
    print(f"step {step}", flush=True)
    if step == 3: save(3); time.sleep(0.5)
open("stands", "w").close()
time.sleep(600)
"""


@pytest.mark.parametrize("saves", [False, True])
def test_only_what_the_stop_brought_is_saved(run: Supervised, saves: bool) -> None:
    """The daemon sees the routine checkpoint only after the stop: the file's own time decides."""
    (run.folder / "t.py").write_text(SCRIPT)
    command = [sys.executable, "t.py", *(["again"] if saves else [])]
    run.configure(command=command, checkpoints={"directory": "out"}, resume={"by": "trainer"})
    process = run.start()
    run.wait((run.folder / "stands").exists)
    process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    (end,) = run.entries("attempt_ended")
    assert end["saved"] is saves
    routine = "second before the stop; 2 steps since then are lost"
    said = "saved at step 5" if saves else routine
    assert said in run.status["reason"]
