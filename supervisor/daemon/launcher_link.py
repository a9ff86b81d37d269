"""The line to the launcher: orders out, reports in, never blocking. It decides nothing."""

import os
import select
from collections.abc import Callable
from typing import Protocol

from supervisor.launcher.messages import Order
from supervisor.launcher.protocol import Heard, report_of
from supervisor.system.clock import monotonic_s
from supervisor.system.json_lines import JsonLines

Send = Callable[[Order], None]


class Orders(Protocol):
    """Takes orders about processes: the launcher, or its stand-in once the launcher is dead."""

    def send(self, order: Order) -> None:
        """Send one order."""


class LauncherLink(JsonLines):
    """One end of the inherited socket pair; `is_lost`: the launcher is gone."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        super().__init__(fd)

    def send(self, order: Order) -> None:
        """Send an order now or as soon as the launcher reads."""
        self.write(order.to_json())

    def receive(self) -> list[Heard]:
        """The reports that have come."""
        return [report_of(told) for told in self.read()]

    def wait(self, timeout_s: float) -> None:
        """Wait until the launcher has said something, `timeout_s` at most."""
        self.flush()
        select.select([] if self.is_lost else [self], [], [], timeout_s)

    def wait_flushed(self, timeout_s: float) -> None:
        """Send all that is queued, waiting `timeout_s` at most."""
        deadline = monotonic_s() + timeout_s
        while self.unsent and (left := deadline - monotonic_s()) > 0:
            select.select([], [self], [], left)
            self.flush()
