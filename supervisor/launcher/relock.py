"""Taking the run's lock anew after its file was removed under the launcher. Stdlib only."""

from __future__ import annotations

import fcntl
import os

from supervisor.launcher.messages import RelockedReport, RelockOrder

_MOST_BYTES = 1 << 16


def relock(path: str, lock_fd: int) -> None:
    """Make the lock file again, copy the old one's words into it, and let `lock_fd` refer to it.

    Raises BlockingIOError if another process has the lock by now, and OSError.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.path.sameopenfile(fd, lock_fd):
            return  # The lock file is still there: another part of the record was removed.
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            pass  # ENOLCK: no flock on this file system; the words in the file decide alone.
        words = os.pread(lock_fd, _MOST_BYTES, 0)
        os.pwrite(fd, words, 0)
        os.ftruncate(fd, len(words))
        os.fsync(fd)
        os.dup2(fd, lock_fd, inheritable=False)
    finally:
        os.close(fd)


def obey(order: RelockOrder) -> RelockedReport:
    """Take the lock anew on the daemon's order: the lock has to be the launcher's as well."""
    try:
        relock(order.path, order.fd)
    except BlockingIOError:
        return RelockedReport(error="another process has it")
    except OSError as problem:
        return RelockedReport(error=problem.strerror or str(problem))
    return RelockedReport()
