"""A page records whether its process ended in order; an exit code behind a shell does not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.worker.page_reading import read_page

ATTACH = "import os, sys\nfrom supervisor.worker import attach\nrun = attach()\nrun.beat(step=3)\n"
IN_A_CHILD = (
    "import multiprocessing as mp, os, sys\nfrom supervisor.worker import attach\n"
    "def rank():\n    run = attach(); run.beat(step=3)\n    {end}\n"
    "if __name__ == '__main__':\n"
    "    p = mp.get_context('{method}').Process(target=rank); p.start(); p.join()\n"
)


def end_of(program: str, folder: Path) -> tuple[bool, bool]:
    """The page of a program that has ended: (tells its end, has ended in order)."""
    script = folder / "program.py"
    script.write_text(program)
    environ = {**os.environ, "SUPERVISOR_HEARTBEAT": str(folder), "SUPERVISOR_ATTEMPT": "1"}
    subprocess.run(
        [sys.executable, str(script)], env=environ, check=False, timeout=60, capture_output=True
    )
    page = read_page(folder / "rank-0")
    assert page is not None
    return page.tells_its_end, page.has_ended_in_order


@pytest.mark.parametrize(
    ("end", "in_order"),
    [
        ("", True),
        ("sys.exit(0)", True),
        ("raise RuntimeError('lost')", False),
        ("raise KeyboardInterrupt", False),
        (f"os.kill(os.getpid(), {signal.SIGKILL:d})", False),
        ("os.abort()", False),
        ("os._exit(0)", False),
        ("if os.fork() == 0: raise SystemExit\nos.wait(); os._exit(0)", False),
    ],
)
def test_an_end_in_order_is_told(end: str, in_order: bool, tmp_path: Path) -> None:
    """A program that came to its end is in order, not one that was killed, raised or used _exit."""
    assert end_of(ATTACH + end, tmp_path) == (True, in_order)


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize(
    ("end", "in_order"), [("pass", True), ("sys.exit(0)", True), ("sys.exit(3)", False),
                          ("raise RuntimeError('lost')", False)],
)  # fmt: skip
def test_a_rank_that_multiprocessing_starts(
    end: str, method: str, in_order: bool, tmp_path: Path
) -> None:
    """multiprocessing skips exit handlers, or prints the exception first; the end still counts."""
    assert end_of(IN_A_CHILD.format(end=end, method=method), tmp_path) == (True, in_order)
