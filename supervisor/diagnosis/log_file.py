"""Diagnose a log file of any size in constant memory, for `supervisor diagnose LOGFILE`.

It only chooses the lines that `diagnose` gets to see, and decides nothing.
"""

from collections import deque
from collections.abc import Iterator
from pathlib import Path

from supervisor.diagnosis.diagnose import diagnose
from supervisor.diagnosis.failure import Diagnosis, ExitEvidence
from supervisor.diagnosis.log_line import clean, read_step, split_prefix
from supervisor.diagnosis.user_rules import NO_RULES, UserRules

_READ_BYTES = 64 * 1024
_BEFORE_LINES = 500
_FIRST_LINES = 2000
_LAST_LINES = 2000


class AttemptLines:
    """The lines of a long log that matter: before the last step, right after it, and the last ones.

    A root cause comes soon after the last step. With hundreds of ranks, thousands of lines about
    its consequences can follow.
    """

    def __init__(self) -> None:
        self.step: int | None = None
        self.first_step_seen = False
        self._before: deque[str] = deque(maxlen=_BEFORE_LINES)
        self._first: list[str] = []
        self._last: deque[str] = deque(maxlen=_LAST_LINES)

    def feed(self, line: str) -> None:
        """Take the next line of the log."""
        text = clean(line)
        mark = read_step(split_prefix(text).body)
        if mark is not None:
            self.first_step_seen = True
            if mark.kind == "step":
                self.step = mark.number
            self._before.extend(self._first)
            self._before.extend(self._last)
            self._first.clear()
            self._last.clear()
            self._before.append(text)
        elif len(self._first) < _FIRST_LINES:
            self._first.append(text)
        else:
            self._last.append(text)

    def lines(self) -> tuple[str, ...]:
        """The kept lines, oldest first."""
        return (*self._before, *self._first, *self._last)


def diagnose_file(
    path: Path,
    *,
    offset: int = 0,
    code: int | None = None,
    signal: int | None = None,
    first_step_seen: bool | None = None,
    rules: UserRules = NO_RULES,
) -> Diagnosis:
    """Diagnose the log in `path` from byte `offset` on; `code` and `signal` are the exit, if known.

    Without `first_step_seen` the log says whether a first step was made. `rules`: the
    user's own. Raises OSError.
    """
    kept = AttemptLines()
    for line in read_lines(path, offset=offset):
        kept.feed(line)
    seen = kept.first_step_seen if first_step_seen is None else first_step_seen
    return diagnose(
        ExitEvidence(
            code, signal, kept.lines(), first_step_seen=seen, step=kept.step, lines_from_start=True
        ),
        rules,
    )


def read_lines(path: Path, *, offset: int = 0) -> Iterator[str]:
    """The file's lines. Each redraw of a progress bar is a line.

    Lines longer than 64 KiB are cut up.
    """
    with path.open("rb") as stream:
        stream.seek(offset)
        while True:
            piece = stream.readline(_READ_BYTES)
            if not piece:
                return
            text = piece.decode("utf-8", "replace").rstrip("\r\n")
            yield from text.split("\r")
