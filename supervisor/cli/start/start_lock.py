"""One start of a command at a time in a directory: names and outputs are decided one by one.

The lock is on the directory itself, so that a start that is refused leaves no file. It ends with
the exec of the launcher, which has the run's own lock by then.
"""

import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path

from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError

PATIENCE_S = 60.0
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class StartLock:
    """The lock, held as long as `fd` stays open in a process that has not become the launcher."""

    fd: int | None
    """None where this file system has no lock for directories."""

    @classmethod
    def acquire(cls, directory: Path, patience_s: float = PATIENCE_S) -> "StartLock":
        """Wait until no other start is under way there. Raises SupervisorError (75)."""
        try:
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return cls(None)
        deadline = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(_LOOK_S)
                    continue
                os.close(fd)
                raise SupervisorError(
                    f"{directory}: another `supervisor run -- COMMAND` has been starting here for"
                    f" {patience_s:g} s; nothing was started",
                    hint="type the line again once that start has ended",
                    code=ExitCode.PREEMPTED,
                ) from None
            except OSError:  # flock(2) on NFS needs a file that is open for writing
                os.close(fd)
                return cls(None)
            return cls(fd)

    def release(self) -> None:
        """Let the next start begin."""
        if self.fd is not None:
            os.close(self.fd)
