"""The launcher's own end, step by step, as a table that it obeys. It decides no code."""

from __future__ import annotations

import os
import signal
import time
from enum import Enum

GOODBYE_S = 2.0
# After SIGKILL: a process in a broken disk's D state is not waited for.
FAREWELL_S = 1.0


class Stage(Enum):
    """Who has to go next."""

    ATTEMPT = "attempt"
    PARKED = "parked"
    VIEW = "view"
    DAEMON = "daemon"
    PERSISTER = "persister"
    DONE = "done"


class Asked(Enum):
    """How whoever has to go is asked."""

    ALREADY = "already"
    """It was: the attempt and the parked one are being killed, the persister may finish."""
    BY_SIGTERM = "SIGTERM"
    BY_GOODBYE = "goodbye"
    """It reads the end of the conversation."""


# Who goes after whom, how it is asked, how long it is waited for (None: whoever ends it says), and
# whether it is killed then. The daemon goes after the attempt, so that it hears of the attempt's
# end; the persister last, so that what anybody left in memory is on the disk.
FAREWELLS: tuple[tuple[Stage, Asked, float | None, bool], ...] = (
    (Stage.ATTEMPT, Asked.ALREADY, None, False),
    (Stage.PARKED, Asked.ALREADY, FAREWELL_S, True),
    (Stage.VIEW, Asked.BY_SIGTERM, GOODBYE_S, True),
    (Stage.DAEMON, Asked.BY_GOODBYE, GOODBYE_S, True),
    (Stage.PERSISTER, Asked.ALREADY, None, True),
)


class Shutdown:
    """Begun by "exit", or by the launcher when it is left alone; the first code stands."""

    def __init__(self, code: int, attempt_limit_s: float) -> None:
        self.code = code
        self._row = 0
        self._give_up_at = time.monotonic() + attempt_limit_s
        self._was_killed = False

    @property
    def stage(self) -> Stage:
        """Return who has to go now."""
        return FAREWELLS[self._row][0] if self._row < len(FAREWELLS) else Stage.DONE

    def deadline(self) -> float:
        """Return the monotonic time at which the present stage's patience ends."""
        return self._give_up_at

    def waits_for(self, pid: int) -> bool:
        """Tell whether whoever has to go is still waited for; kills it when patience ends.

        `pid` is 0 where there is nobody any more.
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
        """Go to the next stage and return how to ask whoever has to go in it.

        `until`: how long to wait where the table does not say, monotonic seconds.
        """
        self._row += 1
        if self.stage is Stage.DONE:
            return Asked.ALREADY
        _, asked, patience_s, _ = FAREWELLS[self._row]
        self._was_killed = False
        self._give_up_at = until if patience_s is None else time.monotonic() + patience_s
        return asked
