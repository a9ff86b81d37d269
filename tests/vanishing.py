"""A directory that is taken away from under the processes that write into it (logind's RemoveIPC).

`shutil.rmtree` races against them: what they make after its listing lets its rmdir fail.
"""

import shutil
import time
from pathlib import Path

PATIENCE_S = 90.0


def vanish(folder: Path) -> None:
    """Remove a directory with all that is in it, at one moment for all that look it up by name.

    Raises OSError if it is not there.
    """
    moved = folder.with_name(f".{folder.name}.vanished")
    folder.rename(moved)
    # What was opened before the rename is written on: one more file may come while it is removed.
    until = time.monotonic() + PATIENCE_S
    while moved.exists():
        shutil.rmtree(moved, ignore_errors=True)
        assert time.monotonic() < until, f"{moved} stays"
