"""A pipe of a process to itself: a signal, or another thread, ends the poll of its main loop.

No signal is lost between looking and sleeping. The loop acts on signals; this module does not.
Stdlib only.
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def _only_wake(number: int, frame: object) -> None:
    """Do nothing: the interpreter has already written the number into the pipe."""


class SelfPipe:
    """Readable when something has come since the last `drain`."""

    __slots__ = ("_read_fd", "_write_fd")

    def __init__(self) -> None:
        self._read_fd, self._write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def fileno(self) -> int:
        """Return the end to read from, for poll and select."""
        return self._read_fd

    def catch(self, signals: Iterable[int]) -> None:
        """Have these signals do nothing but come here. Only one pipe of a process can do so."""
        signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        for number in signals:
            signal.signal(number, _only_wake)

    def ring(self) -> None:
        """Make it readable, from any thread."""
        try:
            os.write(self._write_fd, b"\0")
        except BlockingIOError:
            return  # it is readable already

    def drain(self) -> bytes:
        """Return what has come since the last call, in order: a signal is a byte, its number."""
        received = b""
        while True:
            try:
                received += os.read(self._read_fd, 4096)
            except BlockingIOError:
                return received

    def close(self) -> None:
        """Close both ends. A thread that rings later gets an error, and writes nowhere."""
        ends = (self._read_fd, self._write_fd)
        self._read_fd = self._write_fd = -1
        for fd in ends:
            os.close(fd)
