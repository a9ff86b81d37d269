"""Leaves out what hundreds of ranks print alike: stack frames, and lines that differ in numbers.

A traceback stays whole or goes whole, and steps stay: other modules count them.
"""

import re
from collections import Counter
from collections.abc import Sequence

from supervisor.diagnosis.line_prefix import split_prefix
from supervisor.diagnosis.log_line import clean
from supervisor.diagnosis.step_line import read_step

COPIES_MAX = 4
_TRACEBACK_LINES_MAX = 400
_HEADER = "Traceback (most recent call last)"
_LINKS = ("The above exception was", "During handling of the above")
_NUMBER = re.compile(r"0x[0-9a-f]{1,16}|\d{1,30}")
_FRAME = re.compile(
    # c10's own, glibc's and gdb's frames, and those of faulthandler
    r"\s{0,40}(?:frame #\d{1,4}: |#\d{1,4}:? {1,4}0x|Exception raised from \w+ at "
    r"|\[\s{0,4}\d{1,4}\] /|[/.]\S{1,300}\(\S{0,300}\+?0x[0-9a-f]+\) ?\[0x"
    r'|File "[^"]{1,900}", line \d{1,9} in |(?:Current thread|Thread) 0x[0-9a-f]+ )'
)


class _Repeats:
    """The state of one pass over lines, oldest first."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.kept: list[bool] = []
        self._labels = labels
        self._seen: Counter[str] = Counter()
        self._dropped: set[str] = set()
        self._open: dict[str, list[tuple[int, str]]] = {}
        self._was_kept: dict[str, bool] = {}

    def feed(self, line: str) -> None:
        """Take the next line; tracebacks are decided at their end."""
        index = len(self.kept)
        self.kept.append(False)
        if "frame #" in line[:80] or (line in self._dropped and not self._open):
            return
        stream, body, _ = split_prefix(clean(line), self._labels)
        if _HEADER in body:
            self._close(stream)
            self._open[stream] = [(index, body)]
        elif stream in self._open:
            lines = self._open[stream]
            lines.append((index, body))
            is_inside = not body.strip() or body[0] in " |+"
            if not is_inside or len(lines) > _TRACEBACK_LINES_MAX:
                self._close(stream)
        elif body.startswith(_LINKS):
            self.kept[index] = self._was_kept.get(stream, True)
        elif _FRAME.match(body) is None and (self._is_new(body) or read_step(body) is not None):
            self.kept[index] = True
        else:
            self._dropped.add(line)

    def finish(self) -> None:
        """Decide the tracebacks that have no end."""
        for stream in list(self._open):
            self._close(stream)

    def _close(self, stream: str) -> None:
        lines = self._open.pop(stream, [])
        if lines:
            is_new = self._is_new("\n".join(body for _, body in lines))
            self._was_kept[stream] = is_new
            for index, _ in lines:
                self.kept[index] = is_new

    def _is_new(self, text: str) -> bool:
        shape = _NUMBER.sub("0", text)
        self._seen[shape] += 1
        return self._seen[shape] <= COPIES_MAX


def without_repeats(lines: Sequence[str], labels: Sequence[str] = ()) -> list[str]:
    """The lines without stack frames, and without all but the first copies of a line.

    Copies differ in the label of the process, the time stamp or in numbers alone.
    """
    repeats = _Repeats(labels)
    for line in lines:
        repeats.feed(line)
    repeats.finish()
    return [line for line, is_kept in zip(lines, repeats.kept, strict=True) if is_kept]
