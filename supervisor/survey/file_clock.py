"""How far a file system's clock is ahead of this machine's. NFS servers stamp files by their own.

It makes an empty file for a moment, under a staging name. The daemon asks for it after a stop, when
no process of the attempt is alive.
"""

import contextlib
import os
from pathlib import Path

from supervisor.checkpoint.staging import staging_name
from supervisor.system.clock import wall_s
from supervisor.system.mounts import is_remote

# With a slower answer the measured time is too vague.
_SLOW_S = 1.0
# The kernel's own clock for files ticks every 1 to 10 ms. A smaller difference is this machine's.
_TICK_S = 0.02
# A file system that keeps whole seconds rounds down; FAT keeps only even seconds.
_WHOLE_S = 2.0


def clock_ahead_s(directory: Path) -> float | None:
    """Seconds by which new files there are stamped later than now; None if it cannot be measured.

    0.0 means that files there have this machine's clock.
    """
    path = directory / staging_name("clock")
    began = wall_s()
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        # The directory is full or not writable. A local one has this machine's clock all the same.
        return None if is_remote(directory) else 0.0
    try:
        stamped = os.fstat(fd).st_mtime_ns / 1e9
    finally:
        os.close(fd)
        with contextlib.suppress(OSError):  # if it stays, the next sweep of staging names takes it
            path.unlink()
    took_s = wall_s() - began
    ahead_s = stamped - began
    if stamped == int(stamped) and -_WHOLE_S < ahead_s <= took_s:
        return 0.0
    if -_TICK_S <= ahead_s <= max(took_s, 0.0):
        return 0.0
    return None if took_s > _SLOW_S else ahead_s - took_s / 2
