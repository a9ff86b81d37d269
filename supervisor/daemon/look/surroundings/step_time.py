"""Learns how long a step of an attempt typically takes, from the steps that looks show."""

from collections import deque
from statistics import median

# A look comes up to a second late: over so long a span that is a tenth.
SPAN_S = 10.0
LEAST_SPANS = 3
_MOST_SPANS = 32


class StepTime:
    """The median over the last spans: an evaluation or a save between two steps does not count."""

    def __init__(self) -> None:
        self._began: tuple[float, int] | None = None
        self._spans: deque[float] = deque(maxlen=_MOST_SPANS)

    def note(self, now: float, step: int | None) -> None:
        """Take in one look; `now` is monotonic."""
        if step is None:
            return
        if self._began is None or step < self._began[1]:
            self._began = now, step
            return
        began, first = self._began
        if step > first and now - began >= SPAN_S:
            self._spans.append((now - began) / (step - first))
            self._began = now, step

    @property
    def typical_s(self) -> float | None:
        """Seconds a step; None before half a minute of steps was seen."""
        if len(self._spans) < LEAST_SPANS:
            return None
        return median(self._spans)
