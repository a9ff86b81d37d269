"""When a process that is to live is started again: soon, and ever later where it keeps dying.

It starts nothing. All times are monotonic seconds.
"""

from __future__ import annotations

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 30.0
# One that has lived so long did come up: the next pause is the first again.
GOOD_LIFE_S = 60.0


class Respawn:
    """The time of the next start; `at` is None where there is to be none, or one lives."""

    __slots__ = ("_pause_s", "at", "started_at")

    def __init__(self) -> None:
        self.at: float | None = None
        self.started_at = 0.0
        self._pause_s = FIRST_PAUSE_S

    def is_due(self, now: float) -> bool:
        """Tell whether to start one now."""
        return self.at is not None and now >= self.at

    def put_off(self, now: float) -> None:
        """Try again after a pause, in case that the start fails that is tried now."""
        self.at = now + self._pause_s

    def started(self, now: float) -> None:
        """Note that it lives."""
        self.at = None
        self.started_at = now

    def ended(self, now: float) -> float:
        """Note its end, and return how many seconds later the next is started."""
        if now - self.started_at >= GOOD_LIFE_S:
            self._pause_s = FIRST_PAUSE_S
        pause_s = self._pause_s
        self.at = now + pause_s
        self._pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        return pause_s
