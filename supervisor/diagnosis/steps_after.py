"""Counts the steps that training finished, also after a line; it must not judge the line."""

import re
from collections.abc import Sequence

from supervisor.diagnosis.log_line import StepMark, read_step, split_prefix

# Enough lines to recognise numbers that are printed once more at the end.
_LOOK_BACK_LINES = 200
# A progress bar of training has no name, or an epoch's. The bar of a download has a name.
_TRAINING_BAR = re.compile(
    r"\s{0,80}(?:\d{1,3}%\||(?:train(?:ing)?|epoch)\b.{0,40}\d{1,3}%\||\bepoch:? .{0,40}\d/\d)",
    re.I,
)


def shows_steps(lines: Sequence[str]) -> bool:
    """Whether clean `lines` show that training advanced from one step to a later one.

    A single number may be the step at which the run was resumed. A bar's first print (0) is no
    step.
    """
    lowest: dict[str, int] = {}
    losses = 0
    for line in lines:
        body = split_prefix(line).body
        mark = read_step(body)
        if mark is None:
            continue
        if mark.kind == "loss":
            losses += 1
        elif mark.kind == "step" or (mark.number > 0 and _TRAINING_BAR.match(body)):
            before = lowest.setdefault(mark.kind, mark.number)
            if mark.number > before:
                return True
            lowest[mark.kind] = mark.number
        if losses > 1:
            return True
    return False


class StepsAfter:
    """Counts, for line numbers from `first` on, the steps that training finished after them."""

    def __init__(self, lines: Sequence[str], first: int) -> None:
        self._marks: list[tuple[int, StepMark]] = []
        for index in range(max(first - _LOOK_BACK_LINES, 0), len(lines)):
            mark = read_step(split_prefix(lines[index]).body)
            if mark is not None:
                self._marks.append((index, mark))

    def shows_any_after(self, index: int) -> bool:
        """Whether any step is shown after line `index`, one that was printed before it too."""
        return any(at > index for at, _ in self._marks)

    def count(self, index: int) -> int:
        """How many new steps are shown after line `index`.

        A number that was printed before is no new step: while the interpreter ends, tqdm draws its
        bar once more, and wandb prints a summary. That last bar may show a slightly higher number,
        so the first new number of a bar does not count.
        """
        before = {mark for at, mark in self._marks if at <= index}
        after = [mark for at, mark in self._marks if at > index]
        steps = {mark for mark in after if mark.kind == "step"} - before
        losses = sum(mark.kind == "loss" for mark in after)
        bars: dict[str, set[int]] = {}
        for mark in after:
            if mark.kind.startswith("bar") and mark not in before:
                bars.setdefault(mark.kind, set()).add(mark.number)
        return len(steps) + losses + sum(len(numbers) - 1 for numbers in bars.values())
