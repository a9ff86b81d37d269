"""When a child that has ended is started again: soon at first, later and later if it keeps ending.

It starts nothing. All times are monotonic seconds.
"""

from __future__ import annotations

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 30.0
# After a life this long the next pause is the first one again.
GOOD_LIFE_S = 60.0


class Respawn:
    """The time of the next start: `at`, None while the process lives or if none is wanted."""

    __slots__ = ("_pause_s", "at", "started_at")

    def __init__(self) -> None:
        self.at: float | None = None
        self.started_at = 0.0
        self._pause_s = FIRST_PAUSE_S

    def is_due(self, now: float) -> bool:
        """Tell whether to start one now."""
        return self.at is not None and now >= self.at

    def put_off(self, now: float) -> None:
        """Set the next try, in case the start that is tried now fails."""
        self.at = now + self._pause_s

    def started(self, now: float) -> None:
        """Note that it lives."""
        self.at = None
        self.started_at = now

    def ended(self, now: float) -> float:
        """Note its end, and return after how many seconds the next one starts."""
        if now - self.started_at >= GOOD_LIFE_S:
            self._pause_s = FIRST_PAUSE_S
        pause_s = self._pause_s
        self.at = now + pause_s
        self._pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        return pause_s
