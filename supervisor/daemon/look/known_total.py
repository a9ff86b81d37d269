"""Whether a trainer that beats has done its last step, as a full progress bar or it itself says.

The bar must be full at the step that the beats show. A bar of one epoch is full at another number.
"""

from collections.abc import Sequence

from supervisor.core.trainer_description import TrainerDescription
from supervisor.diagnosis.line_prefix import split_prefix
from supervisor.diagnosis.log_line import clean
from supervisor.diagnosis.step_line import read_step

_LINES_MAX = 5
_CHARS_MAX = 400
# A trainer may count from 0 where its bar counts from 1.
_OFF_BY = 1


class KnownTotal:
    """Follows the log's last lines; a further step takes the finding back."""

    def __init__(self) -> None:
        self._reached: int | None = None

    def is_reached(self, lines: Sequence[str], unended: str, step: int | None) -> bool:
        """Whether `step` is the last one. `unended`: a line without newline, as a bar leaves it."""
        if step is None:
            return False
        ends = range(step - _OFF_BY, step + _OFF_BY + 1)
        for line in (*lines[-_LINES_MAX:], unended):
            # A full bar has the number twice (`90/90`). Only such lines are worth the patterns.
            if any(line.count(str(end)) > 1 for end in ends) and (full := _full_at(line)) in ends:
                self._reached = full
        return self._reached in ends


def is_at_last_step(said: TrainerDescription | None, step: int | None) -> bool:
    """Whether the trainer's own description says that no further step is expected."""
    return said is not None and (said.is_over or said.steps_left(step) == 0)


def _full_at(line: str) -> int | None:
    mark = read_step(split_prefix(clean(line[-_CHARS_MAX:])).body) if line else None
    return mark.number if mark is not None and mark.kind == f"bar of {mark.number}" else None
