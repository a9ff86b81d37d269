"""What a rule is, and how all rules are matched to many lines at once.

The rules are data, in the other modules of this package; `table.py` has them in order. No rule
decides alone: `weighing` chooses among all that match.
"""

import bisect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from functools import lru_cache

from supervisor.core.ending import Advice
from supervisor.core.vocabulary import Action, Failure

# Lines are searched in blocks: copies of a whole log with long lines would cost tens of megabytes.
_BLOCK_CHARS = 512 * 1024


class Weight(IntEnum):
    """How much a line counts; among equals the earliest wins.

    STATED: the kernel, a driver or the scheduler says so, and is right even when the line is late.
    CAUSE: the process that failed says why.
    FIRST_DEATH: how the rank ended that torchrun saw die first.
    CONSEQUENCE: one process reports the end of another.
    DEATH: how something ended, without a reason.
    TIMEOUT: a watchdog waited too long: some rank failed or hung before that.
    ABORT: a process was aborted. A watchdog and a C++ exception do that after they said why.
    WRAPPER: a launcher's exception about a child or a rank that failed.
    MENTION: a warning or retry that its writer survived. It explains no end.
    CASCADE: never a cause.
    """

    STATED = 0
    CAUSE = 1
    FIRST_DEATH = 2
    CONSEQUENCE = 3
    DEATH = 4
    TIMEOUT = 5
    ABORT = 6
    WRAPPER = 7
    MENTION = 8
    CASCADE = 9


class Calls(Enum):
    """What a traceback's calls must have been doing for a rule to count."""

    ANY = auto()
    LOADING = auto()
    """Loading a checkpoint. A line without a traceback does not count."""
    READING = auto()
    """Reading training data. A line without a traceback does not count."""
    NOT_READING = auto()
    """Anything but reading training data. A line without a traceback does not count."""
    CHECKING = auto()
    """Checking arguments. A line without a traceback does not count."""
    LOADING_IF_KNOWN = auto()
    """Loading a checkpoint. A line without a traceback counts: only checkpoints are so written."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: lines that contain a needle (lower case) and match `regex` without regard to case.

    The needles make it fast: the regular expression is tried only on lines that contain one.
    `unless` matches innocent lines with the same words. `example` is a line that the rule matches;
    a test tries it. `source` names the public thread or page where the shape was seen.
    """

    needles: tuple[str, ...]
    regex: str
    failure: Failure
    action: Action
    weight: Weight = Weight.CAUSE
    unless: str | None = None
    example: str = ""
    source: str = ""
    advice: Advice | None = None
    only_before_first_step: bool = False
    late: Action | None = None
    """The action after the attempt's first step; None: the same as before it."""
    only_raised: bool = False
    """The line counts only if it is an exception's own line."""
    only_unhandled: bool = False
    """It counts only in a traceback of the script itself, from its outermost call on."""
    only_after_a_beginning: bool = False
    """It counts only if the log shows a beginning, and no step was being made."""
    calls: Calls = Calls.ANY
    full_disk_decides: bool = False
    outlasts: int = 0
    """How many later steps do not refute the line. A scheduler's line holds while the trainer
    trains on to save; a traceback is refuted by the next step."""
    names_killer: bool = False
    """The line says who ended the process from outside, so it can explain a SIGKILL."""

    def search(self, text: str) -> re.Match[str] | None:
        """The match of this rule in a line, or None."""
        found = _compiled(self.regex).search(text)
        if found is None or (self.unless is not None and _compiled(self.unless).search(text)):
            return None
        return found

    def action_now(self, *, first_step_seen: bool) -> Action:
        """The action, which may differ after the attempt's first step."""
        return self.late if first_step_seen and self.late is not None else self.action


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that matched `text` from column `start` on; `index` is the line's number."""

    index: int
    start: int
    rule: Rule
    text: str


@lru_cache(maxsize=512)
def _compiled(regex: str) -> re.Pattern[str]:
    return re.compile(regex, re.IGNORECASE)


def scan(
    lines: Sequence[str], table: Sequence[Rule], prepare: Callable[[str], str]
) -> Iterator[Hit]:
    """All hits, rule by rule in the table's order. `prepare` is applied to a line before the regex.

    Searching one joined text for each needle costs 0.02 ms a needle for 2,000 lines. Trying each
    rule on each line took 0.3 s, and delayed the next launch by as much.
    """
    begin, chars = 0, 0
    for index, line in enumerate(lines):
        chars += len(line)
        if chars > _BLOCK_CHARS or index == len(lines) - 1:
            yield from _scan_block(lines[begin : index + 1], begin, table, prepare)
            begin, chars = index + 1, 0


def _scan_block(
    lines: Sequence[str], begin: int, table: Sequence[Rule], prepare: Callable[[str], str]
) -> Iterator[Hit]:
    lowered = [line.lower() for line in lines]
    text = "\n".join(lowered)
    starts: list[int] = []
    position = 0
    for line in lowered:
        starts.append(position)
        position += len(line) + 1
    for rule in table:
        seen: set[int] = set()
        for needle in rule.needles:
            at = text.find(needle)
            while at >= 0:
                index = bisect.bisect_right(starts, at) - 1
                if index not in seen:
                    seen.add(index)
                    prepared = prepare(lines[index])
                    found = rule.search(prepared)
                    if found is not None:
                        yield Hit(begin + index, found.start(), rule, prepared)
                at = text.find(needle, starts[index] + len(lowered[index]))


def matches(text: str, table: Sequence[Rule]) -> Iterator[Hit]:
    """All rules that match one line, in the table's order: special rules before general ones."""
    lowered = text.lower()
    for rule in table:
        if any(needle in lowered for needle in rule.needles):
            found = rule.search(text)
            if found is not None:
                yield Hit(0, found.start(), rule, text)
