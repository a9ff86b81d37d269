"""A directory that is removed while processes write into it (logind's RemoveIPC).

`shutil.rmtree` races against the writers: a file made after its listing makes its rmdir fail.
"""

import shutil
import time
from pathlib import Path

PATIENCE_S = 90.0


def vanish(folder: Path) -> None:
    """Remove a directory with its content; its name is gone at one moment for all processes.

    Raises OSError if the directory is not there.
    """
    moved = folder.with_name(f".{folder.name}.vanished")
    folder.rename(moved)
    # A process that opened the directory before the rename may still add files while it is removed.
    until = time.monotonic() + PATIENCE_S
    while moved.exists():
        shutil.rmtree(moved, ignore_errors=True)
        assert time.monotonic() < until, f"{moved} stays"
