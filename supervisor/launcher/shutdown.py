"""The launcher's own end, step by step, as a table that it obeys. It decides no exit code."""

from __future__ import annotations

import os
import signal
import time
from enum import Enum

GOODBYE_S = 2.0
# How long to wait after SIGKILL: a process in D state on a broken disk may never end.
FAREWELL_S = 1.0


class Stage(Enum):
    """Which process has to end next."""

    ATTEMPT = "attempt"
    PARKED = "parked"
    VIEW = "view"
    DAEMON = "daemon"
    PERSISTER = "persister"
    DONE = "done"


class Asked(Enum):
    """How a process is asked to end."""

    ALREADY = "already"
    """It was asked before: the attempt and the parked interpreter are being killed, and the
    persister may finish."""
    BY_SIGTERM = "SIGTERM"
    BY_GOODBYE = "goodbye"
    """The launcher shuts the socket down, and the daemon reads its end."""


# In this order processes end: how each is asked, how long the launcher waits (None: the caller
# says), and whether it is killed then. The daemon ends after the attempt, so that it hears of the
# attempt's end. The persister ends last, so that every snapshot in memory can reach the disk.
FAREWELLS: tuple[tuple[Stage, Asked, float | None, bool], ...] = (
    (Stage.ATTEMPT, Asked.ALREADY, None, False),
    (Stage.PARKED, Asked.ALREADY, FAREWELL_S, True),
    (Stage.VIEW, Asked.BY_SIGTERM, GOODBYE_S, True),
    (Stage.DAEMON, Asked.BY_GOODBYE, GOODBYE_S, True),
    (Stage.PERSISTER, Asked.ALREADY, None, True),
)


class Shutdown:
    """The launcher's end, on the daemon's exit order, or because no daemon comes up.

    `code` is the exit code. `attempt_limit_s`: how long the first stage, the attempt, may take.
    """

    def __init__(self, code: int, attempt_limit_s: float) -> None:
        self.code = code
        self._row = 0
        self._give_up_at = time.monotonic() + attempt_limit_s
        self._was_killed = False

    @property
    def stage(self) -> Stage:
        """Return which process has to end now."""
        return FAREWELLS[self._row][0] if self._row < len(FAREWELLS) else Stage.DONE

    def deadline(self) -> float:
        """Return the monotonic time at which the present stage's patience ends."""
        return self._give_up_at

    def waits_for(self, pid: int) -> bool:
        """Tell whether to wait longer for the stage's process; kill it when patience ends.

        `pid` is 0 once the process is gone.
        """
        if not pid:
            return False
        if time.monotonic() < self._give_up_at:
            return True
        may_kill = FAREWELLS[self._row][3]
        if self._was_killed or not may_kill:
            return False
        self._was_killed = True
        self._give_up_at = time.monotonic() + FAREWELL_S
        os.kill(pid, signal.SIGKILL)
        return True

    def go_on(self, until: float) -> Asked:
        """Go to the next stage and return how to ask its process to end.

        `until`: when to stop waiting if the table does not say, monotonic seconds.
        """
        self._row += 1
        if self.stage is Stage.DONE:
            return Asked.ALREADY
        _, asked, patience_s, _ = FAREWELLS[self._row]
        self._was_killed = False
        self._give_up_at = until if patience_s is None else time.monotonic() + patience_s
        return asked
