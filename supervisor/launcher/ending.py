"""The launcher's own end, step by step: attempt, view, daemon, persister. It decides no code."""

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
    VIEW = "view"
    DAEMON = "daemon"
    PERSISTER = "persister"
    DONE = "done"


class Ending:
    """Begun by "exit", or by the launcher when it is left alone; the first code stands."""

    def __init__(self, code: int, attempt_limit_s: float) -> None:
        self.code = code
        self.stage = Stage.ATTEMPT
        self._give_up_at = time.monotonic() + attempt_limit_s
        self._was_killed = False

    def deadline(self) -> float:
        """Return the monotonic time at which the present stage's patience ends."""
        return self._give_up_at

    def waits_for(self, stage: Stage, pid: int, until: float | None = None) -> bool:
        """Tell whether a process must still go; asks it (the view), waits, and then kills it.

        `until`: how long to wait, monotonic seconds; else two seconds.
        """
        now = time.monotonic()
        if self.stage is not stage:
            self.stage = stage
            self._was_killed = False
            self._give_up_at = now + GOODBYE_S if until is None else until
            if pid and stage is Stage.VIEW:
                os.kill(pid, signal.SIGTERM)
        if not pid:
            return False
        if now < self._give_up_at:
            return True
        if self._was_killed:
            return False
        self._was_killed = True
        self._give_up_at = now + FAREWELL_S
        os.kill(pid, signal.SIGKILL)
        return True

    def waits_for_attempt(self, is_there: bool) -> bool:
        """Tell whether the attempt's kill loop still has time."""
        return self.stage is Stage.ATTEMPT and is_there and time.monotonic() < self._give_up_at
