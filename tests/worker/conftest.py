"""Real trainer processes: a script in tmp_path, started as the supervisor would start it."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Trainers:
    """Starts scripts, and kills the remaining processes at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.heartbeats = folder / "heartbeats"
        self.heartbeats.mkdir()
        self.started: list[subprocess.Popen[str]] = []

    def start(
        self, code: str, *, attached: bool = True, **environment: str
    ) -> subprocess.Popen[str]:
        """Start a script; `attached` gives it a heartbeat directory."""
        path = self.folder / f"script{len(self.started)}.py"
        path.write_text(textwrap.dedent(code))
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("SUPERVISOR", "SLURM"))}
        own = {"SUPERVISOR_HEARTBEAT": str(self.heartbeats)} if attached else {}
        process = subprocess.Popen(
            [sys.executable, str(path)],
            env={**clean, "PYTHONPATH": str(ROOT), **own, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def line(self, process: subprocess.Popen[str]) -> str:
        """The next line that the process prints."""
        assert process.stdout is not None
        return process.stdout.readline().strip()

    def eventually(self, claim: Callable[[], object], *, within_s: float = 90.0) -> None:
        """Wait until a claim holds; fails after the timeout."""
        deadline = time.monotonic() + within_s
        while not claim():
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.01)

    def close(self) -> None:
        """Kill the running processes, and children that hold their pipes."""
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.fixture
def trainers(tmp_path: Path) -> Iterator[Trainers]:
    """The trainers of one test."""
    these = Trainers(tmp_path)
    yield these
    these.close()
