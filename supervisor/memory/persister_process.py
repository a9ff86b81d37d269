"""Starts a persister: the process that writes the snapshots of one directory to the disk.

The launcher, the daemon and the trainer start one by its path. The launcher forks by itself: it
takes only the words to exec, and imports no `subprocess`.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
# A signal to the whole job must not end what saves the job's work.
IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def command(directory: Path | str, *options: str) -> list[str]:
    """Return the words to exec; `options` are those of `memory/__main__.py`."""
    return [sys.executable, "-P", _PROGRAM, "persist", "--directory", str(directory), *options]


def start(directory: Path | str, *options: str) -> subprocess.Popen[bytes]:
    """Start one that serves until its standard input ends. Raises OSError."""
    import subprocess

    return subprocess.Popen(
        command(directory, *options),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
