"""Counts the steps that training finished, also after a line; it must not judge the line."""

import bisect
from collections.abc import Sequence

from supervisor.diagnosis.line_memo import step_of
from supervisor.diagnosis.line_prefix import common_labels
from supervisor.diagnosis.step_line import StepMark

# Enough lines to recognise numbers that are printed once more at the end.
_LOOK_BACK_LINES = 200


def shows_steps(lines: Sequence[str]) -> bool:
    """Whether clean `lines` show that training made a step.

    One line is enough if it shows a loss or a rate. A bare number may be the step at which the run
    was resumed, so a later number has to follow.
    """
    labels = common_labels(lines)
    lowest: dict[tuple[str, int], int] = {}
    for line in lines:
        mark = step_of(line, labels)
        if mark is None:
            continue
        if mark.is_measured:
            return True
        before = lowest.setdefault((mark.kind, mark.epoch), mark.number)
        if mark.number > before:
            return True
        lowest[mark.kind, mark.epoch] = mark.number
    return False


class StepsAfter:
    """Counts, for line numbers from `first` on, the steps that training finished after them."""

    def __init__(self, lines: Sequence[str], first: int) -> None:
        self._marks: list[tuple[int, StepMark]] = []
        self._counts: dict[int, int] = {}
        begin = max(first - _LOOK_BACK_LINES, 0)
        labels = common_labels(lines)
        for index in range(begin, len(lines)):
            mark = step_of(lines[index], labels)
            if mark is not None:
                self._marks.append((index, mark))

    def shows_any_after(self, index: int) -> bool:
        """Whether any step is shown after line `index`, one that was printed before it too."""
        return any(at > index for at, _ in self._marks)

    def goes_on_after(self, index: int) -> bool:
        """Whether any step but a bar's is shown after line `index`: a bar is drawn once more."""
        return any(at > index and not mark.kind.startswith("bar") for at, mark in self._marks)

    def count(self, index: int) -> int:
        """How many new steps are shown after line `index`.

        A number that was printed before is no new step: while the interpreter ends, tqdm draws its
        bar once more, and wandb prints a summary. That last bar may show a slightly higher number,
        so the first new number of a bar does not count.
        """
        at = bisect.bisect_right(self._marks, index, key=lambda entry: entry[0])
        if at not in self._counts:
            self._counts[at] = self._count(at)
        return self._counts[at]

    def _count(self, first: int) -> int:
        before = {mark for _, mark in self._marks[:first]}
        after = [mark for _, mark in self._marks[first:]]
        steps = {mark for mark in after if mark.kind in ("step", "epoch")} - before
        losses = sum(mark.kind == "loss" for mark in after)
        bars: dict[str, set[StepMark]] = {}
        for mark in after:
            if mark.kind.startswith("bar") and mark not in before:
                bars.setdefault(mark.kind, set()).add(mark)
        return len(steps) + losses + sum(len(marks) - 1 for marks in bars.values())
