"""Real processes for the daemon's looks."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture
def start_ready() -> Iterator[Callable[..., int]]:
    """Return a function that starts a command with `Popen`'s options.

    It returns the pid once the command has printed "ready".
    """
    processes: list[subprocess.Popen[str]] = []

    def start_one(*argv: str, **options: Any) -> int:
        process = subprocess.Popen(
            argv, stdout=subprocess.PIPE, text=True, start_new_session=True, **options
        )
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process.pid

    yield start_one
    for process in processes:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
