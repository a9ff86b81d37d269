"""Finds the newest step of training in a log of any size, and notes lines that tell of trouble.

It rejects whole blocks by plain bytes before any line is read. It must not choose among the lines
that it notes.
"""

import re
from dataclasses import dataclass, field
from itertools import islice

from supervisor.diagnosis.line_prefix import common_labels, split_prefix
from supervisor.diagnosis.log_blocks import (
    LINE_BYTES_MAX,
    Read,
    blocks_from_end,
    line_around,
    split_lines,
)
from supervisor.diagnosis.log_line import clean
from supervisor.diagnosis.step_line import StepMark, read_step

SEARCH_BYTES_MAX = 64 << 20
# A program that prints so many lines like steps, and no step, prints none that we know.
_CANDIDATES_MAX = 20_000
# With more lines like steps in a block, lines that differ in digits are looked at once.
_CROWD = 2_000
_NOTED_LINES_MAX = 1_500
_TRACEBACK_LINES_MAX = 80
_TRACEBACK_BYTES_MAX = 16 << 10

# What a step or a bar must contain, in lower case. Each begins with plain bytes: such a search runs
# at a gigabyte a second, and one for all of them together at fifty megabytes.
_STEPS = tuple(
    re.compile(pattern)
    for pattern in (
        rb"step[s'\"=:#\[ \t]{0,40}\d",
        rb"it(?:er(?:ation)?s?(?:\(train\))?)?['\"=:#\[ \t]{1,40}\d",
        rb"update[s'\"=:#\[ \t]{0,40}\d",
        rb"epoch(?:\(train\))?[^\w\r\n]{1,20}\d",
        rb"loss['\"]: ?['\"]?[\-\dni]",
        rb"\[(?:(?:\d{1,4} days?, {0,2})?\d{1,6}:\d\d|[=>.]{2}| {0,8}\d{1,12} {0,2}/)",
        rb"\xe2\x94[\x80\x81](?:\xe2[\x94\x95][\x80-\xbf]){0,400}",
        rb"s/step",
        rb"\] ?\[ {0,6}\d{1,12} {0,4}/",
        rb"loss\w{0,10}=[\-\d]",
    )
)
_TROUBLE = tuple(
    re.compile(word)
    for word in (rb"error", rb"exception", rb"traceback \(most", rb"failed", rb"killed")
)
_AT_ZERO = re.compile(rb"(?<!\d)0 ?[/a-z]")
_DIGITS = bytes.maketrans(b"123456789", b"000000000")


@dataclass(frozen=True, slots=True)
class FoundStep:
    """The newest step: its mark, and where its line begins and ends."""

    mark: StepMark
    begin: int
    end: int


@dataclass(slots=True)
class TroubleNotes:
    """Lines that may tell of trouble: the oldest of each shape, a bounded number of them.

    They are noted from the newest to the oldest. Lines that differ in digits have one shape.
    """

    _noted: dict[bytes, tuple[int, list[str]]] = field(default_factory=dict)
    _lines: int = 0

    def note(self, lowered: bytes, data: bytes, offset: int, begin: int) -> None:
        """Take the lines of a block, from `begin` on, that have a word of trouble."""
        spots = [m.start() for word in _TROUBLE for m in word.finditer(lowered, begin)]
        last = len(data) + 1
        for spot in reversed(sorted(spots)[:_CROWD]):
            if spot >= last:
                continue  # in the same line as the one before
            last, line_end = line_around(data, spot)
            line = data[last:line_end]
            if b"frame #" not in line[:80]:
                is_traceback = b"Traceback (most" in line
                text = data[last : last + _TRACEBACK_BYTES_MAX] if is_traceback else line
                self._keep(offset + last, _one_traceback(split_lines(text)))

    def _keep(self, offset: int, lines: list[str]) -> None:
        shape = "\n".join(lines).encode().translate(_DIGITS)
        while b"00" in shape:
            shape = shape.replace(b"00", b"0")
        before = self._noted.pop(shape, None)
        self._lines += len(lines) - (0 if before is None else len(before[1]))
        self._noted[shape] = (offset, lines)
        while self._lines > _NOTED_LINES_MAX:
            self._lines -= len(self._noted.pop(next(iter(self._noted)))[1])

    def entries(self, begin: int) -> list[list[str]]:
        """The noted lines from an offset on, oldest first; a traceback's lines are together."""
        found = sorted((at, lines) for at, lines in self._noted.values() if at >= begin)
        return [lines for _, lines in found]


def _one_traceback(lines: list[str]) -> list[str]:
    """The first line, and the indented ones after it up to the next that is not."""
    for at, line in enumerate(lines[1:_TRACEBACK_LINES_MAX], 1):
        body = split_prefix(clean(line)).body
        if body.strip() and body[0] not in " |+":
            return lines[: at + 1]
    return lines[:_TRACEBACK_LINES_MAX]


@dataclass(slots=True)
class StepSearch:
    """Searches from `end` back to `begin`; `floor` is how far back it has come."""

    read: Read
    begin: int
    end: int
    floor: int = 0
    found: FoundStep | None = None
    notes: TroubleNotes = field(default_factory=TroubleNotes)
    labels: tuple[str, ...] = ()
    _tried: int = 0
    _no_steps: set[bytes] = field(default_factory=set)

    def run(self) -> None:
        """Search until a step is found, the begin is reached, or 64 MiB are read."""
        self.floor = self.end
        for offset, data in blocks_from_end(self.read, self.begin, self.end):
            if self.floor == self.end:
                self.labels = common_labels([clean(line) for line in split_lines(data)])
            self.floor = offset
            lowered = data.lower()
            self.found = self._newest_step(data, lowered, offset)
            begin = 0 if self.found is None else self.found.end - offset
            self.notes.note(lowered, data, offset, begin)
            is_enough = self.end - offset >= SEARCH_BYTES_MAX or self._tried > _CANDIDATES_MAX
            if self.found is not None or is_enough:
                return

    def _newest_step(self, data: bytes, lowered: bytes, offset: int) -> FoundStep | None:
        spots: list[int] = []
        for pattern in _STEPS:
            spots.extend(m.start() for m in islice(pattern.finditer(lowered), _CROWD + 1))
            if len(spots) > _CROWD:
                return self._newest_in_crowd(data, offset)
        last = len(data) + 1
        for spot in sorted(spots, reverse=True):
            if spot >= last:
                continue  # in the same line as the one before
            last, end = line_around(data, spot)
            mark = self._read(data[last:end])
            if mark is not None:
                return FoundStep(mark, offset + last, offset + end)
        return None

    def _newest_in_crowd(self, data: bytes, offset: int) -> FoundStep | None:
        """The newest step among very many lines; only the newest line of each shape is read."""
        one_end = data.replace(b"\r", b"\n")
        lines, shapes = one_end.split(b"\n"), one_end.translate(_DIGITS).split(b"\n")
        newest = dict(zip(shapes, range(len(lines)), strict=True))
        for at in sorted(newest.values(), reverse=True):
            mark = self._read(lines[at])
            if mark is not None:
                begin = sum(map(len, lines[:at])) + at
                return FoundStep(mark, offset + begin, offset + begin + len(lines[at]))
        return None

    def _read(self, line: bytes) -> StepMark | None:
        shape = line.translate(_DIGITS)
        if shape in self._no_steps or self._tried > _CANDIDATES_MAX:
            return None
        text = clean(line.replace(b"\0", b"").decode("utf-8", "replace"))
        mark = read_step(split_prefix(text, self.labels).body)
        if mark is None:
            self._tried += 1
            # A bar at 0 has the shape of bars that count.
            if _AT_ZERO.search(line) is None and len(line) < LINE_BYTES_MAX:
                self._no_steps.add(shape)
        return mark
