"""The parts of the launcher that an attempt uses. This module starts no process."""

from __future__ import annotations

import os

from supervisor.launcher.children.standby import ParkedLink
from supervisor.launcher.termination import UNKILLABLE_AFTER_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisor.launcher.messages import Report


class Surroundings:
    """The launcher as an attempt sees it: its other children, its limit, the way to the daemon.

    `stop_signal_at` is the monotonic time of the last stop signal that the launcher received.
    """

    __slots__ = (
        "cgroup",
        "daemon_sessions",
        "own_pids",
        "parked",
        "send",
        "stop_signal_at",
        "unkillable_after_s",
    )

    def __init__(
        self,
        send: Callable[[Report], None],
        unkillable_after_s: float = UNKILLABLE_AFTER_S,
    ) -> None:
        self.send = send
        self.parked = ParkedLink(send)
        self.unkillable_after_s = unkillable_after_s
        self.cgroup: str | None = None
        self.own_pids: set[int] = set()
        self.daemon_sessions: list[int] = []
        self.stop_signal_at = float("-inf")

    def foreign_sessions(self) -> list[int]:
        """Return the sessions of daemons and parked interpreter, which belong to no attempt."""
        return [*self.daemon_sessions, self.parked.pid]

    def is_foreign(self, pid: int) -> bool:
        """Tell whether a child, alive or not, was left by a dead daemon, or by what was parked."""
        try:
            session = os.getsid(pid)
        except OSError:
            return False
        return session != 0 and session in self.foreign_sessions()
