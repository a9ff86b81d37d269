"""How far training went on after a line; it must not judge the line."""

from collections.abc import Sequence

from supervisor.diagnosis.log_line import StepMark, read_step, split_prefix

# Enough to know again the numbers that are printed once more at the end.
_LOOK_BACK_LINES = 200


class StepsAfter:
    """Counts, for line numbers from `first` on, the steps that training finished after them."""

    def __init__(self, lines: Sequence[str], first: int) -> None:
        self._marks: list[tuple[int, StepMark]] = []
        for index in range(max(first - _LOOK_BACK_LINES, 0), len(lines)):
            mark = read_step(split_prefix(lines[index]).body)
            if mark is not None:
                self._marks.append((index, mark))

    def count(self, index: int) -> int:
        """How many new steps are shown after line `index`.

        A number seen before is no step: tqdm draws its bar once more, and wandb sums up, while the
        interpreter ends. That last bar may also be a little further on, so one bar proves nothing.
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
