"""Whether a trainer that beats has shown that its last step is done: a progress bar that is full.

Like with like: the bar counts as the beats do. One of an epoch is full at another number.
"""

from collections.abc import Sequence

from supervisor.diagnosis.log_line import clean, read_step

_LINES_MAX = 5
_CHARS_MAX = 400
# A trainer counts from 0 and its bar from 1.
_OFF_BY = 1


class KnownTotal:
    """Follows the log's last lines; a further step takes it back."""

    def __init__(self) -> None:
        self._reached: int | None = None

    def is_reached(self, lines: Sequence[str], unended: str, step: int | None) -> bool:
        """Whether the step is the last one. `unended`: a bar leaves its line without its end."""
        if step is None:
            return False
        ends = range(step - _OFF_BY, step + _OFF_BY + 1)
        for line in (*lines[-_LINES_MAX:], unended):
            # A full bar has the number twice; other lines are not worth the expressions.
            if any(line.count(str(end)) > 1 for end in ends) and (full := _full_at(line)) in ends:
                self._reached = full
        return self._reached in ends


def _full_at(line: str) -> int | None:
    mark = read_step(clean(line[-_CHARS_MAX:])) if line else None
    return mark.number if mark is not None and mark.kind == f"bar of {mark.number}" else None
