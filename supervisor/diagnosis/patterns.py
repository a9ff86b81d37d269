"""What a row of the pattern tables is, and how all rows are matched to many lines at once.

The rows are in `device_patterns`, `host_patterns`, `network_patterns` and `program_patterns`. No
row may decide alone.
"""

import bisect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from supervisor.core.vocabulary import Action, Failure

# Lines are searched in blocks: copies of a whole log with long lines would cost tens of megabytes.
_BLOCK_CHARS = 512 * 1024


class LineWeight(IntEnum):
    """How much a line counts; among equals the earliest wins.

    STATED: the kernel, a driver or the scheduler says so, and is right even when the line is late.
    CAUSE: the process that failed says why.
    FIRST_DEATH: how the rank ended that torchrun saw die first.
    CONSEQUENCE: one process reports the end of another.
    DEATH: how something ended, without a reason.
    MENTION: a warning or retry that its writer survived.
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

    The needles make it fast: the regular expression is tried only on lines that contain one.
    `unless` matches innocent lines with the same words. `outlasts`: how many later steps do not
    refute the line. A scheduler's line holds while the trainer trains on to save; a traceback is
    refuted by the next step. `names_killer`: the line says who ended the process from outside, so
    it can explain a SIGKILL.
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
        """The match of this row in a line, or None."""
        found = _compiled(self.regex).search(text)
        if found is None or (self.unless is not None and _compiled(self.unless).search(text)):
            return None
        return found


@dataclass(frozen=True, slots=True)
class Hit:
    """A pattern that matched `text` from column `start` on; `index` is the line's number."""

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
    """All hits, row by row in the table's order. `prepare` is applied to a line before the regex.

    Searching one joined text for each needle costs 0.02 ms a needle for 2,000 lines. Trying each
    row on each line took 0.3 s, and delayed the next launch by as much.
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
