"""When a snapshot is due: every N steps, or as often as it costs less than 1 % of the time."""

from collections import deque
from statistics import median

COST = 0.01
LEAST_S = 1.0


class Pace:
    """It is told of steps and of what snapshots cost; times in seconds of any monotonic clock."""

    def __init__(self, steps: int | str) -> None:
        """Raises ValueError for anything but `auto`, a number of steps, or 0 for never."""
        if steps != "auto" and (not isinstance(steps, int) or steps < 0):
            raise ValueError(f"snapshot_steps is {steps!r}: give 'auto', a number of steps, or 0")
        self._steps = steps
        self._stalls: deque[float] = deque(maxlen=9)
        self._last: float | None = None
        self._last_step: float | None = None
        self._step_s = 0.0

    def is_due(self, step: int, now: float) -> bool:
        """Whether to take a snapshot after this step."""
        if isinstance(self._steps, int):
            return self._steps > 0 and step % self._steps == 0
        if self._last is None or self._last_step is None:
            self._last = self._last_step = now
            return False
        self._step_s, self._last_step = now - self._last_step, now
        # due after this step, if it is nearer to the time than the next step is
        return now - self._last + self._step_s / 2 >= max(
            self.interval_s, LEAST_S + self._step_s / 2
        )

    @property
    def interval_s(self) -> float:
        """The time between two snapshots that keeps their cost below 1 %."""
        return max(LEAST_S, median(self._stalls) / COST) if self._stalls else LEAST_S

    def taken(self, now: float, stall_s: float) -> None:
        """Note that a snapshot was taken, and that training stood still for `stall_s`."""
        self._last = now
        self._stalls.append(stall_s)
