"""Signals to the daemon as something a selector can wait for; the handler itself does nothing."""

import signal
import socket
from collections.abc import Iterable


class SignalPipe:
    """Readable when one of the signals came (signal.set_wakeup_fd)."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, _nothing)

    def fileno(self) -> int:
        """For the selector."""
        return self._read.fileno()

    def read(self) -> set[int]:
        """The numbers of the signals that came."""
        numbers: set[int] = set()
        while True:
            try:
                data = self._read.recv(4096)
            except BlockingIOError:
                return numbers
            numbers.update(data)


def _nothing(number: int, frame: object) -> None:
    return
