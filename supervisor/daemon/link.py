"""The line to the launcher: orders out, reports in, never blocking. It decides nothing."""

import select
import socket
from collections.abc import Callable
from typing import Protocol

from supervisor.launcher.messages import Order
from supervisor.launcher.protocol import Decoder, Heard, encode, report_of

Send = Callable[[Order], None]


class Orders(Protocol):
    """Where orders about processes go: the launcher, or its stand-in when it is dead."""

    def send(self, order: Order) -> None:
        """Send one order."""


class LauncherLink:
    """One end of the inherited socket pair."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(False)
        self._decoder = Decoder()
        self._out = bytearray()
        self.is_lost = False

    def fileno(self) -> int:
        """For the selector."""
        return self._socket.fileno()

    @property
    def wants_to_write(self) -> bool:
        """Whether orders wait for the launcher to read."""
        return bool(self._out) and not self.is_lost

    def send(self, order: Order) -> None:
        """Send an order now or as soon as the launcher reads."""
        self._out += encode(order.to_json())
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as it goes without blocking."""
        while self._out and not self.is_lost:
            try:
                sent = self._socket.send(self._out)
            except BlockingIOError:
                return
            except OSError:
                self.is_lost = True
                return
            del self._out[:sent]

    def receive(self) -> list[Heard]:
        """The reports that have come; sets `is_lost` when the launcher is gone."""
        reports: list[Heard] = []
        while True:
            try:
                data = self._socket.recv(65536)
            except BlockingIOError:
                return reports
            except OSError:
                data = b""
            if not data:
                self.is_lost = True
                return reports
            reports += map(report_of, self._decoder.feed(data))

    def wait(self, timeout_s: float) -> None:
        """Until the launcher has said something, for so long at most."""
        self.flush()
        select.select([] if self.is_lost else [self], [], [], timeout_s)

    def wait_flushed(self, timeout_s: float) -> None:
        """Send everything, waiting at most so long."""
        self._socket.settimeout(timeout_s)
        try:
            while self._out and not self.is_lost:
                sent = self._socket.send(self._out)
                del self._out[:sent]
        except OSError:
            self.is_lost = True
