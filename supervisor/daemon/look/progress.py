"""Reads step, loss, total and epoch from the log of a command that does not beat.

It must never fail on what a command prints, and a slow pattern must not hold up the daemon.
"""

import re
import time
from collections.abc import Sequence
from typing import NamedTuple

from supervisor.system.bounded_pattern import BoundedPattern, PatternTimeoutError

# A pattern that backtracks takes longer on longer lines; steps stand in short lines.
LINE_CHARACTERS_MAX = 2000
LINE_CPU_S = 0.05
LOOK_CPU_S = 0.1
_OVERRUNS_MAX = 5
_LINES_TO_FORGIVE = 10_000
_SHOWN_CHARACTERS = 80
_SHAPE_CHARACTERS_MAX = 80
_NOT_WORDS = re.compile(r"[^A-Za-z]+")
_EPOCH = re.compile(r"(?<![A-Za-z])ep(?:och)?s?(?![A-Za-z])", re.IGNORECASE)
_TOTAL = re.compile(r"\s*(?:/|of)\s*(\d[\d,_]*)")
_DECIMAL = re.compile(
    r"\s*([-+]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:e[-+]?\d{1,4})?|[-+]?(?:nan|inf))\s*",
    re.ASCII | re.IGNORECASE,
)


class LogStep(NamedTuple):
    """A step, and the line in which it stands, from `begin` to `end`."""

    step: int
    line: str
    begin: int
    end: int

    @property
    def shape(self) -> str:
        """Tells progress bars of one trainer apart: words before the step, total after it.

        It begins with `epoch|` where the line names an epoch: the step may count within that epoch.
        """
        words = _NOT_WORDS.sub(" ", self.line[: self.begin]).strip().lower()
        total = _TOTAL.match(self.line, self.end)
        per_epoch = "epoch|" if _EPOCH.search(self.line) else ""
        return f"{per_epoch}{words[-_SHAPE_CHARACTERS_MAX:]}|{total[1] if total else ''}"


class LogReading(NamedTuple):
    """What the lines of one look say: all steps, in order; of the rest the newest, None if none."""

    steps: tuple[LogStep, ...] = ()
    loss: float | None = None
    total: int | None = None
    epoch: int | None = None


_NOTHING = LogReading()


class ProgressReader:
    r"""Applies a pattern with a group named `step`, such as `step (?P<step>\d+)`.

    Groups named `loss`, `total` and `epoch` are read, too, also from a match without a step.

    A pattern that was too slow on several lines is switched off for this and later attempts.
    """

    __slots__ = ("_overruns", "_pattern", "slow_line")

    def __init__(self, pattern: str) -> None:
        """Raises ValueError for a pattern that is wrong or has no group `step`."""
        try:
            self._pattern = BoundedPattern(pattern)
        except re.error as error:
            raise ValueError(f"the pattern {pattern!r} is wrong: {error}") from error
        if "step" not in self._pattern.group_names:
            raise ValueError(f"the pattern {pattern!r} has no group (?P<step>…)")
        self._overruns = 0.0
        self.slow_line: str | None = None
        """A line that took too long, once the pattern is switched off; None before."""

    def feed(self, lines: Sequence[str]) -> LogReading:
        """What these lines say; groups that are no numbers are left out.

        The newest lines are read first. If time runs out, older lines stay unread.
        """
        if self.slow_line is not None:
            return _NOTHING
        self._overruns = max(0.0, self._overruns - len(lines) / _LINES_TO_FORGIVE)
        until, newest_first = time.process_time() + LOOK_CPU_S, list[LogStep]()
        loss, total, epoch = None, None, None
        for line in reversed(lines):
            left_s = until - time.process_time()
            if left_s <= 0:
                break
            try:
                found = self._pattern.find_all(line[:LINE_CHARACTERS_MAX], min(left_s, LINE_CPU_S))
            except PatternTimeoutError:
                self._note_overrun(line, left_s)
                continue
            for match in reversed(found):
                groups = match.groupdict()
                step = _whole_number(groups["step"])
                if step is not None:
                    newest_first.append(LogStep(step, line, *match.span("step")))
                loss = decimal_of(groups.get("loss")) if loss is None else loss
                total = _whole_number(groups.get("total")) if total is None else total
                epoch = _epoch_of(groups.get("epoch")) if epoch is None else epoch
        return LogReading(tuple(reversed(newest_first)), loss, total, epoch)

    def _note_overrun(self, line: str, had_s: float) -> None:
        if had_s < LINE_CPU_S:
            return  # the whole look ran out of time: the line had less than its share
        self._overruns += 1
        if self._overruns >= _OVERRUNS_MAX:
            self.slow_line = line[:_SHOWN_CHARACTERS]


def _whole_number(text: str | None) -> int | None:
    """`1,234`, `1_234` and `12.0` count too. A number over 15 digits is no step: it gives None."""
    digits = re.fullmatch(r"\s*(\d[\d,_]*)(?:\.0+)?\s*", text or "", re.ASCII)
    if digits is None:
        return None
    plain = digits[1].replace(",", "").replace("_", "")
    return int(plain) if len(plain) <= 15 else None


def decimal_of(text: str | None) -> float | None:
    """A number with or without a fraction, also `nan` and `inf`; None for anything else."""
    digits = _DECIMAL.fullmatch(text or "")
    return None if digits is None else float(digits[1])


def _epoch_of(text: str | None) -> int | None:
    """The epoch that is under way: `3`, and `3.16` of transformers."""
    found = decimal_of(text)
    return None if found is None or not 0 <= found < 1e9 else int(found)
