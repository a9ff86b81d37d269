"""What a row of the pattern tables is, and how all rows are matched to many lines at once.

The rows are in `device_patterns`, `host_patterns` and `program_patterns`; no row may decide alone.
"""

import bisect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from supervisor.core.vocabulary import Action, Failure

# Lines are searched in blocks, or the copies of a log with long lines would cost tens of megabytes.
_BLOCK_CHARS = 512 * 1024


class LineWeight(IntEnum):
    """How much a line's word counts; of equals the earliest wins.

    STATED: kernel, driver or scheduler say it of themselves, and are right even when they are late.
    CAUSE: the process that failed says why. FIRST_DEATH: how the rank died that torchrun saw die
    first. CONSEQUENCE: what one process sees of another's end.
    DEATH: how something ended, not why. MENTION: a warning or retry that its writer survived.
    CASCADE: never a cause.
    """

    STATED = 0
    CAUSE = 1
    FIRST_DEATH = 2
    CONSEQUENCE = 3
    DEATH = 4
    MENTION = 5
    CASCADE = 6


@dataclass(frozen=True, slots=True)
class Pattern:
    """One row: lines that contain a needle (lower case) and match `regex` without regard to case.

    The needles are what makes it fast: the regular expression is tried only on lines that have one.
    `unless` are innocent lines of the same words. `outlasts`: how many later steps do not refute it
    (a scheduler's word stands while the trainer saves; a traceback does not once training goes on).
    `names_killer`: it says who ended the process from outside, so it stands beside a SIGKILL.
    """

    needles: tuple[str, ...]
    regex: str
    failure: Failure
    action: Action
    standing: LineWeight = LineWeight.CAUSE
    unless: str | None = None
    only_before_first_step: bool = False
    full_disk_decides: bool = False
    outlasts: int = 0
    names_killer: bool = False

    def search(self, text: str) -> re.Match[str] | None:
        """Where this row matches the line, if it does."""
        found = _compiled(self.regex).search(text)
        if found is None or (self.unless is not None and _compiled(self.unless).search(text)):
            return None
        return found


@dataclass(frozen=True, slots=True)
class Hit:
    """A pattern that matched `text`, of line number `index`, from column `start` on."""

    index: int
    start: int
    pattern: Pattern
    text: str


@lru_cache(maxsize=512)
def _compiled(regex: str) -> re.Pattern[str]:
    return re.compile(regex, re.IGNORECASE)


def scan(
    lines: Sequence[str], table: Sequence[Pattern], prepare: Callable[[str], str]
) -> Iterator[Hit]:
    """All hits, row by row in the table's order; rows see what `prepare` makes of a line.

    Searching one joined text for each needle costs 0.02 ms a needle for 2,000 lines; trying each
    row on each line took 0.3 s of the time in which a trainer should be running again.
    """
    begin, chars = 0, 0
    for index, line in enumerate(lines):
        chars += len(line)
        if chars > _BLOCK_CHARS or index == len(lines) - 1:
            yield from _scan_block(lines[begin : index + 1], begin, table, prepare)
            begin, chars = index + 1, 0


def _scan_block(
    lines: Sequence[str], begin: int, table: Sequence[Pattern], prepare: Callable[[str], str]
) -> Iterator[Hit]:
    lowered = [line.lower() for line in lines]
    text = "\n".join(lowered)
    starts: list[int] = []
    position = 0
    for line in lowered:
        starts.append(position)
        position += len(line) + 1
    for pattern in table:
        seen: set[int] = set()
        for needle in pattern.needles:
            at = text.find(needle)
            while at >= 0:
                index = bisect.bisect_right(starts, at) - 1
                if index not in seen:
                    seen.add(index)
                    prepared = prepare(lines[index])
                    found = pattern.search(prepared)
                    if found is not None:
                        yield Hit(begin + index, found.start(), pattern, prepared)
                at = text.find(needle, starts[index] + len(lowered[index]))


def first_match(text: str, table: Sequence[Pattern]) -> Hit | None:
    """The first row that matches one line: special rows stand before general ones."""
    lowered = text.lower()
    for pattern in table:
        if any(needle in lowered for needle in pattern.needles):
            found = pattern.search(text)
            if found is not None:
                return Hit(0, found.start(), pattern, text)
    return None
