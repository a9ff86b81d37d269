"""Keeps what is printed while parked, and writes it at "go", as imports in a cold launch would."""

from __future__ import annotations

import fcntl
import os
import sys

from supervisor.standby.refusal import Refused
from supervisor.worker.system_call import memory_file

_MOST_BYTES = 1 << 20
_SHARED_MEMORY = "/dev/shm"


class Output:
    """File descriptors 1 and 2, redirected into memory until `give` puts them in their place.

    sys.stdout and sys.stderr stay the objects that Python made at its start.
    """

    def __init__(self) -> None:
        """Redirect both into memory. Raises Refused if no file in memory can be made."""
        self.lost: str | None = None
        self._first = [_kept_aside(1), _kept_aside(2)]
        self._kept = _memory()
        fcntl.fcntl(self._kept, fcntl.F_SETFL, os.O_APPEND)
        os.dup2(self._kept, 1)
        os.dup2(self._kept, 2)
        self._log = -1

    def open_log(self, log: str | None) -> None:
        """Open the log as for a cold launch. Raises Refused, also if over 1 MiB was printed."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOCTTY | os.O_CLOEXEC
        if log is not None:
            try:
                self._log = os.open(log, flags, 0o600)
            except OSError as error:
                raise Refused(f"{error.strerror}: {log}") from None
        if os.fstat(self._kept).st_size > _MOST_BYTES:
            raise Refused("its imports print more than 1 MiB")

    def give(self) -> None:
        """Redirect both to the log, or to where they led first, and write what was printed."""
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        for place, first in enumerate(self._first, start=1):
            os.dup2(self._log if self._log >= 0 else first, place)
        said = os.pread(self._kept, _MOST_BYTES, 0)
        try:
            while said:
                said = said[os.write(1, said) :]
        except OSError as error:
            # This is the program already: a full disk must not end it before its first line.
            self.lost = str(error)
        for fd in (*self._first, self._kept, self._log):
            if fd >= 0:
                os.close(fd)


def _kept_aside(fd: int) -> int:
    # Above 2, even if 0, 1 or 2 is closed: it must not become a standard stream.
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)


def _memory() -> int:
    """Return a file without a name, in memory. Raises Refused."""
    try:
        return memory_file("parked-output")
    except OSError:
        # An old kernel or a sandbox refuses it. A file that is removed at once does the same.
        stage = os.path.join(_SHARED_MEMORY, f".parked-output-{os.getpid()}-{os.urandom(8).hex()}")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            fd = os.open(stage, flags, 0o600)
            os.unlink(stage)
        except OSError as error:
            what = "what its imports print cannot be kept (no memfd_create here, and "
            raise Refused(f"{what}{_SHARED_MEMORY}: {error.strerror})") from None
        return fd
