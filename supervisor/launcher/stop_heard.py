"""Whether a training loop without adapter has a stop's SIGTERM already, from another sender.

SLURM and systemd may signal the loop itself. It then trains on to its own next save, and a second
SIGTERM would end it before that. It only reads. Stdlib only.
"""

from __future__ import annotations

import os

from supervisor.worker.sign_layout import (
    SIGN,
    SIGN_MAGIC,
    SIGN_PREFIX,
    SIGN_VERSION,
    STOP_WAITS,
)


def waits_for_save(heartbeat_dir: str | None, pid: int, start_ticks: int) -> bool:
    """Tell whether the process has said that it got SIGTERM and waits for its own next save."""
    if not heartbeat_dir:
        return False
    path = os.path.join(heartbeat_dir, f"{SIGN_PREFIX}{pid}")
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False  # most processes give no such sign
    try:
        raw = os.pread(fd, SIGN.size, 0)
    except OSError:
        return False
    finally:
        os.close(fd)
    if len(raw) < SIGN.size:
        return False
    magic, version, said_pid, _, said_ticks, *_, stop = SIGN.unpack(raw)
    if (magic, version, said_pid, said_ticks) != (SIGN_MAGIC, SIGN_VERSION, pid, start_ticks):
        return False
    return bool(stop == STOP_WAITS)
