"""One start of a command at a time in a directory: names and outputs are decided one by one.

The lock is on the directory itself, so that a start that is refused leaves no file. It ends with
the exec of the launcher, which has the run's own lock by then. It guards only what a start judges:
`flock . supervisor run …` has the directory's lock for good, so no start is refused for it.
"""

import fcntl
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

PATIENCE_S = 5.0
_LOOK_S = 0.05
_STOPS = frozenset({signal.SIGTERM, signal.SIGUSR1, signal.SIGINT})


def is_stop_pending() -> bool:
    """Whether a stop that this process blocks has come: the launcher will act on it."""
    return bool(_STOPS & signal.sigpending())


@dataclass(frozen=True, slots=True)
class StartLock:
    """The lock, held as long as `fd` stays open in a process that has not become the launcher."""

    fd: int | None
    """None where the directory cannot be locked, or another process keeps its lock."""

    @classmethod
    def acquire(cls, directory: Path, patience_s: float = PATIENCE_S) -> "StartLock":
        """Wait until no other start is under way there; go on without the lock after that.

        A stop that is pending ends the wait.
        """
        try:
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return cls(None)
        deadline = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < deadline and not is_stop_pending():
                    time.sleep(_LOOK_S)
                    continue
                os.close(fd)
                return cls(None)
            except OSError:  # flock(2) on NFS needs a file that is open for writing
                os.close(fd)
                return cls(None)
            return cls(fd)

    def release(self) -> None:
        """Let the next start begin."""
        if self.fd is not None:
            os.close(self.fd)
