"""Starts an attempt's main process once all leftovers have ended: parked interpreter or new one."""

from __future__ import annotations

import errno
import os
import signal
import time

from supervisor.launcher.children import standby
from supervisor.launcher.children.spawn import StartFailure, spawn
from supervisor.launcher.children.trainer import program_of
from supervisor.system import cgroup, identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    from supervisor.launcher.children.standby import ParkedLink
    from supervisor.launcher.messages import LaunchOrder
else:
    from supervisor.system.named_tuple import NamedTuple

# The parked interpreter only compares and stats before it answers. On a dead disk it is killed, and
# a new process starts instead, which will hang there, too.
ANSWER_S = 10.0
UNKILLABLE_AFTER_S = 60.0


class MainProcess(NamedTuple):
    """An attempt's main process; `why` says why it was not warm, `report_fd` is -1 if it was.

    `asked` is the monotonic time at which all leftovers had ended.
    """

    main: identity.ProcessIdentity
    report_fd: int
    is_warm: bool
    why: str | None
    asked: float


class Beginning:
    """One start, warm if a parked interpreter agrees. No call blocks."""

    def __init__(self, order: LaunchOrder, group: str | None, link: ParkedLink) -> None:
        """`group`: the directory of the cgroup in which the process is to run."""
        self._order = order
        self._group = group
        self._link = link
        self._asked = time.monotonic()
        self._why = order.why_cold
        self._until = self._asked + order.patience_s
        self._killed_at: float | None = None

    def deadline(self) -> float:
        """Return the monotonic time at which to call `advance` again, if nothing happens before."""
        return self._until

    def advance(self) -> MainProcess | StartFailure | None:
        """Do the next thing; None as long as the parked interpreter has not decided."""
        link, now = self._link, time.monotonic()
        if link.stage is standby.IMPORTING and (self._why is not None or now >= self._until):
            waited = f"the parked interpreter was not ready within {self._order.patience_s:.1f} s"
            has_waited = self._order.patience_s > 0
            link.discard(
                self._why or (waited if has_waited else "the parked interpreter was not ready yet")
            )
        if link.stage is standby.WAITING:
            if self._why is not None:
                link.discard(self._why)
            else:
                if self._group is not None:
                    # Before "go", so that nothing that the program starts can be outside.
                    cgroup.enter(self._group, link.pid)
                link.go(self._order)
                self._until = now + ANSWER_S
        if link.stage is standby.GOING and now >= self._until:
            link.discard(f"the parked interpreter did not answer within {ANSWER_S:.0f} s")
        if link.stage is standby.GONE:
            pid, ticks = link.take()
            main = identity.ProcessIdentity(identity.machine_id(), identity.boot_id(), pid, ticks)
            return MainProcess(main, -1, True, None, self._asked)
        if link.stage is standby.ABSENT:
            return self._cold(self._why or link.reason)
        if link.stage is standby.ENDING:
            return self._outlast(now)
        return None

    def _outlast(self, now: float) -> StartFailure | None:
        """Wait until the killed parked interpreter has ended: two programs never run at once."""
        if self._killed_at is None:
            self._killed_at = now
        self._until = self._killed_at + UNKILLABLE_AFTER_S
        if now < self._until:
            return None
        return StartFailure(errno.EBUSY, "the parked interpreter survives SIGKILL")

    def give_up(self) -> MainProcess | StartFailure | None:
        """Call off a start; return the parked interpreter if it has become the program already."""
        self._link.read()
        if self._link.stage is standby.GONE:
            return self.advance()
        if self._link.stage is standby.GOING:
            self._link.discard("the launch was called off")
        return None

    def _cold(self, why: str) -> MainProcess | StartFailure:
        try:
            spawned = spawn(program_of(self._order, self._group))
        except OSError as error:
            return StartFailure(error.errno or 0, f"{error.strerror}: fork")
        try:
            main = identity.identify(spawned.pid)
        except OSError:
            main = None
        if main is None:  # it is not reaped, so /proc shows it, unless /proc cannot be read
            os.kill(spawned.pid, signal.SIGKILL)
            os.close(spawned.report_fd)
            return StartFailure(errno.EIO, "/proc does not show the new process")
        return MainProcess(main, spawned.report_fd, False, why, self._asked)
