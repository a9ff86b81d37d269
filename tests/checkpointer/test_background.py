"""A process whose threads are in torch's code ends with its own exit code, not with SIGABRT."""

import subprocess
import sys
from pathlib import Path

import pytest

BUSY = """
import sys, time, torch
from supervisor.torch import Checkpointer, background, preparation

def work():
    a = torch.ones(64)
    while not asked and time.monotonic() < until:
        a = a + a
"""
THREAD = """
asked, until = [], time.monotonic() + 60
thread = background.BackgroundThread("busy", work, lambda: asked.append(1))
thread.start()
time.sleep(0.1)
"""
LAYING_OUT = """
asked, until = [], time.monotonic() + 1
build = preparation.build

def slow(*words):
    work()
    return build(*words)

preparation.build = slow
model = torch.nn.Linear(4, 4)
checkpointer = Checkpointer({"model.pt": model}, directory=sys.argv[1])
checkpointer.snapshot(1)
"""
ENDS = {"raise ValueError('mine')": 1, "sys.exit(75)": 75, "pass": 0}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("work", [THREAD, LAYING_OUT], ids=["a thread", "the first snapshot"])
def test_the_exit_code_is_the_scripts(out: Path, work: str, end: str) -> None:
    """Python's end waits for the thread; without that it aborts nearly always."""
    done = subprocess.run(
        [sys.executable, "-c", f"{BUSY}{work}{end}", str(out)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == ENDS[end], done.stderr
    assert "terminate called" not in done.stderr


def test_a_thread_that_does_not_end_is_left_behind() -> None:
    """A device that hangs holds up no end for long."""
    code = f"""{BUSY}
import threading
background._END_S = 0.2
background.BackgroundThread("stuck", threading.Event().wait, lambda: None).start()
sys.exit(75)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert done.returncode == 75
