"""How far a training is, as its own progress bars and lines show; for `status` alone.

No step, budget, rollback, finish or hang may depend on it: a bar may count one epoch, or something
else. What is not sure is not shown.
"""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from supervisor.daemon.look.progress_line import CountKind, ProgressLine, read_progress
from supervisor.diagnosis.bar import find_bar
from supervisor.diagnosis.log_line import clean

# A trainer that prints more within half a second prints the same again and again.
_LINES_MAX = 40
# A daemon that takes over an attempt reads more: an evaluation may be under way.
_FIRST_LINES_MAX = 2000
_CHARACTERS_MAX = 1000
# A line of many numbers takes milliseconds. Older lines of a look are left out then.
_LOOK_CPU_S = 0.02
_FIRST_LOOK_CPU_S = 0.2
_BARS_MAX = 8
_PACE_S = 300.0
_PACE_SAMPLES = 600
# Ranks print the same bar a few steps apart, so that the number goes back a little.
_NOISE = 3
# An unnamed short bar that never comes with a loss may be of anything.
_SHORT_BAR = 20


class Course(NamedTuple):
    """What is printed: a step of the run, or a count within an epoch; None where it is not sure."""

    step: int | None = None
    total: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    batch: int | None = None
    batches: int | None = None
    loss: float | None = None
    step_rate: float | None = None
    """Steps a second over the last five minutes."""
    file: str | None = None
    """The name of the library's own table that says so; None if the log does."""

    @property
    def is_known(self) -> bool:
        """Whether it says how far the training is."""
        return self.step is not None or self.batch is not None or self.epoch is not None


NOTHING_PRINTED = Course()


@dataclass(slots=True)
class _Counter:
    """One counter of a trainer: a bar, or the steps that it names."""

    total: int | None
    last: int = 0
    highest: int = 0
    epoch: int | None = None
    restarts: bool = False
    shows_loss: bool = False
    goes_on_over_epochs: bool = False

    def take(self, seen: ProgressLine) -> None:
        number = seen.number
        is_full_before = self.highest == self.total and 2 * number <= self.highest
        if is_full_before or (2 * number < self.highest and self.highest - number >= _NOISE):
            self.restarts, self.highest = True, number
        if seen.epoch is not None:
            if self.epoch is not None and seen.epoch > self.epoch and number > self.highest:
                self.goes_on_over_epochs = True
            self.epoch = seen.epoch
        self.last, self.highest = number, max(self.highest, number)
        self.total = seen.total or self.total
        self.shows_loss = self.shows_loss or seen.loss is not None

    @property
    def is_full(self) -> bool:
        return self.total is not None and self.last >= self.total


class StepPace:
    """The rate of a counter that only rises, over the last minutes."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=_PACE_SAMPLES)

    def note(self, now: float, number: int | None) -> None:
        """Take in the number shown at `now`, monotonic seconds."""
        if number is None or (self._samples and number < self._samples[-1][1]):
            self._samples.clear()
        if number is None:
            return
        self._samples.append((now, number))
        while now - self._samples[0][0] > _PACE_S:
            self._samples.popleft()

    def rate(self) -> float | None:
        """Counts a second; None if it did not rise."""
        if len(self._samples) < 2:
            return None
        (begin, first), (end, last) = self._samples[0], self._samples[-1]
        return (last - first) / (end - begin) if last > first and end > begin else None


class PrintedCourse:
    """Follows the lines of one attempt."""

    def __init__(self) -> None:
        self._named: dict[str, _Counter] = {}
        self._bars: dict[str, _Counter] = {}
        self._main: _Counter | None = None
        self._newest: _Counter | None = None
        self._epoch: int | None = None
        self._epochs: int | None = None
        self._batch: tuple[int, int | None] | None = None
        self._keras_total: int | None = None
        self._is_headed = self._is_epoch_over = False
        self._loss: float | None = None
        self._is_first = True
        self._pace = StepPace()

    def look(self, lines: Sequence[str], unended: str, now: float) -> Course:
        """Read the newest lines. `unended`: a line without newline, as a bar leaves it."""
        newest_first = [line[:_CHARACTERS_MAX] for line in reversed(lines) if line]
        # In an unended line the last number may be cut. A bar's numbers stand before its brackets.
        drawn = clean(unended[-_CHARACTERS_MAX:]).rstrip()
        if drawn.endswith("]") and find_bar(drawn)[0]:
            newest_first.insert(0, drawn)
        for seen in reversed(self._read(newest_first)):
            self._take(seen)
        course = self._course()
        self._pace.note(now, course.step)
        return course._replace(step_rate=self._pace.rate())

    def _read(self, newest_first: Sequence[str]) -> list[ProgressLine]:
        most, cpu_s = _LINES_MAX, _LOOK_CPU_S
        if self._is_first:
            most, cpu_s = _FIRST_LINES_MAX, _FIRST_LOOK_CPU_S
        self._is_first = self._is_first and not newest_first
        until, found = time.process_time() + cpu_s, list[ProgressLine]()
        for line in newest_first[:most]:
            seen = read_progress(line)
            if seen is not None:
                found.append(seen)
            if time.process_time() > until:
                break
        return found

    def _take(self, seen: ProgressLine) -> None:
        if seen.heads_epoch:
            self._is_headed, self._keras_total, self._is_epoch_over = True, None, False
        if seen.is_keras:
            # `evaluate` and `predict` draw the same bar: before any epoch, after it, or with
            # another total.
            self._keras_total = self._keras_total or seen.total
            if not self._is_headed or self._is_epoch_over or seen.total != self._keras_total:
                return
            self._is_epoch_over = seen.number == seen.total
        self._loss = self._loss if seen.loss is None else seen.loss
        if seen.epoch is not None:
            self._epochs = seen.epochs or self._epochs
            self._epoch = seen.epoch
        match seen.counts:
            case CountKind.STEPS:
                self._counter(self._named, seen).take(seen)
            case CountKind.BATCHES:
                self._batch = (seen.number, seen.total)
            case CountKind.BAR:
                if self._is_headed and seen.key.startswith("|"):
                    # A bar without a name, below `Epoch 3/10`, may be of that epoch.
                    seen = seen._replace(epoch=self._epoch)
                self._newest = self._counter(self._bars, seen)
                self._newest.take(seen)
            case CountKind.NONE:
                # transformers prints the loss on a line of its own, while its bar stands.
                if seen.loss is not None and self._newest is not None:
                    self._newest.shows_loss = True
        self._choose()

    @staticmethod
    def _counter(known: dict[str, _Counter], seen: ProgressLine) -> _Counter:
        if seen.key not in known and len(known) >= _BARS_MAX:
            known.pop(next(iter(known)))
        return known.setdefault(seen.key, _Counter(seen.total))

    def _choose(self) -> None:
        """Choose the bar of training: the first, or one that shows a loss where that has none.

        transformers draws its bar at 0 before any evaluation, and an evaluation's bar has no loss.
        """
        main = self._main or next(iter(self._bars.values()), None)
        newest = self._newest
        if main is not None and newest is not None and newest is not main:
            is_over = main.is_full or not main.shows_loss or main.restarts
            main = newest if newest.shows_loss and is_over else main
        self._main = main

    def _course(self) -> Course:
        step, batch = None, self._batch
        total: int | None = None
        counter = self._named.get("global") or self._named.get("named") or self._main
        if counter is not None and counter.last > 0:
            if self._is_of_the_run(counter):
                step, total = counter.last, counter.total
            elif counter.restarts or counter.epoch is not None:
                batch = (counter.last, counter.total)
        return Course(
            step=step,
            total=total,
            epoch=self._epoch,
            epochs=self._epochs,
            batch=None if batch is None else batch[0],
            batches=None if batch is None else batch[1],
            loss=self._loss,
        )

    def _is_of_the_run(self, counter: _Counter) -> bool:
        if counter is self._named.get("global"):
            return not counter.restarts
        if counter.restarts:
            return False
        if counter is not self._main:
            return counter.epoch is None or counter.goes_on_over_epochs
        if counter.epoch is not None and not counter.goes_on_over_epochs:
            return False
        if counter.shows_loss:
            return True
        # Without a loss a full bar may be that of anything before training, or after it.
        return not counter.is_full and (counter.total or 0) >= _SHORT_BAR
