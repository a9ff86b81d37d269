"""Chooses the lines of an attempt's log that a diagnosis gets to see, whatever the log's size.

A root cause comes around the last step: a peer may print one more step after it. Thousands of lines
about its consequences can follow. It decides nothing about the lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from supervisor.diagnosis.line_prefix import split_prefix
from supervisor.diagnosis.log_blocks import LINE_END, Read, split_lines
from supervisor.diagnosis.log_line import clean
from supervisor.diagnosis.repeats import without_repeats
from supervisor.diagnosis.step_line import StepMark, read_step
from supervisor.diagnosis.step_search import StepSearch

BEFORE_LINES = 500
FIRST_LINES = 2000
MIDDLE_LINES = 500
LAST_LINES = 2000
AFTER_LINES = FIRST_LINES + MIDDLE_LINES + LAST_LINES
# Each side's bytes and lines that are looked at one by one.
_SIDE_BYTES = 2 << 20
_SIDE_LINES = 10_000
_BEFORE_BYTES = (64 << 10, 256 << 10, 1 << 20)


@dataclass(frozen=True, slots=True)
class LogWindow:
    """At most 5,000 lines, oldest first; `step` is the last step that they show by a number.

    `from_start`: no step was made before these lines.
    """

    lines: tuple[str, ...]
    step: int | None
    from_start: bool = True


def read_window(read: Read, begin: int, end: int) -> LogWindow:
    """The window on the bytes from `begin` to `end`. It reads 70 MB at most.

    It holds the last step with lines before it, the first lines after it, and the last ones. Where
    not all fit, stack frames and repeated lines are left out first.
    """
    search = StepSearch(read, begin, end)
    search.run()
    if search.found is None:
        return LogWindow(tuple(_after(search, search.floor)), None)
    before, from_start = _before(search, search.found.end)
    line_end = LINE_END.match(read(search.found.end, 2))
    after = _after(search, search.found.end + (line_end.end() if line_end else 0))
    return LogWindow((*before, *after), _last_number(before, search.labels), from_start)


def _before(search: StepSearch, end: int) -> tuple[list[str], bool]:
    """The last lines up to `end`, which is the end of the last step's line.

    Also whether no step was made before them.
    """
    kept: list[str] = []
    start = end
    for size in _BEFORE_BYTES:
        start = max(end - size, search.begin)
        lines = split_lines(search.read(start, end - start), last=_SIDE_LINES)
        if start > search.begin and len(lines) > 1:
            del lines[0]  # it has lost its beginning
        kept = without_repeats(_without_frames(lines)[-_SIDE_LINES:], search.labels)
        if len(kept) >= BEFORE_LINES or start == search.begin:
            break
    left_out = kept[:-BEFORE_LINES]
    if any(_step_of(line, search.labels) is not None for line in left_out):
        return kept[-BEFORE_LINES:], False
    earlier = StepSearch(search.read, search.begin, start)
    earlier.run()
    return kept[-BEFORE_LINES:], earlier.found is None


def _after(search: StepSearch, begin: int) -> list[str]:
    """The lines from `begin` on, where a line begins."""
    read, end, labels = search.read, search.end, search.labels
    if end - begin <= 2 * _SIDE_BYTES:
        lines = split_lines(read(begin, end - begin), first=4 * _SIDE_LINES)
        if len(lines) <= AFTER_LINES:
            return lines
        short = _without_frames(lines)
        if len(lines) < 4 * _SIDE_LINES and len(short) <= 2 * _SIDE_LINES:
            kept = without_repeats(short, labels)
            if len(kept) <= AFTER_LINES:
                return kept
            return _around(kept[:FIRST_LINES], search.notes.entries(begin), kept[-LAST_LINES:])
    half = min(_SIDE_BYTES, (end - begin) // 2)
    first = _without_frames(split_lines(read(begin, half), first=4 * _SIDE_LINES)[:-1])
    last = _without_frames(split_lines(read(end - half, half), last=4 * _SIDE_LINES)[1:])
    first = without_repeats(first[:_SIDE_LINES], labels)[:FIRST_LINES]
    last = without_repeats(last[-_SIDE_LINES:], labels)[-LAST_LINES:]
    return _around(first, search.notes.entries(begin), last)


def _around(first: list[str], noted: Sequence[list[str]], last: list[str]) -> list[str]:
    """The first and last lines, and between them those of the noted lines that are in neither."""
    known = {*first, *last}
    middle = [line for lines in noted if not known.issuperset(lines) for line in lines]
    return [*first, *middle[:MIDDLE_LINES], *last]


def _without_frames(lines: Sequence[str]) -> list[str]:
    """The lines without the stacks of c10: with sixty a rank, they would fill the window."""
    return [line for line in lines if "frame #" not in line[:80]]


def _last_number(lines: Sequence[str], labels: Sequence[str]) -> int | None:
    for line in reversed(lines):
        mark = _step_of(line, labels)
        if mark is not None and mark.kind == "step":
            return mark.number
    return None


def _step_of(line: str, labels: Sequence[str]) -> StepMark | None:
    return read_step(split_prefix(clean(line), labels).body)
