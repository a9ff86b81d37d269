"""Plain lines for the user who started the run. A stalled reader must never stall the daemon."""

import os
import textwrap
import time
from collections.abc import Sequence

from supervisor.diagnosis.log_line import clean
from supervisor.system import journal_stream
from supervisor.system.line_writer import write_lines

_COLUMNS = 100


class Console:
    """Writes lines to a file descriptor if it takes them at once, and drops them if not."""

    def __init__(self, fd: int, *, enabled: bool) -> None:
        self._fd = fd
        self._enabled = enabled
        self._is_journal = journal_stream.is_journal(fd)

    def say(
        self, line: str, priority: int = journal_stream.INFO, parts: Sequence[str] = ()
    ) -> None:
        """One line with the local time of day in front; in the journal, with its priority.

        On a terminal it is wrapped, or given as `parts`, each on a line of its own.
        """
        if not self._enabled:
            return
        columns = self._columns()
        if columns is not None:
            self._write(_wrapped(parts or (line,), columns))
            return
        text = f"{time.strftime('%H:%M:%S')} {clean(line)}"
        if self._is_journal:
            text = journal_stream.mark(clean(line), priority)
        self._write([text])

    def say_paragraph(self, text: str) -> None:
        """Several sentences, wrapped, with one time of day in front; in the journal, one line."""
        if self._is_journal:
            self.say(text)
        elif self._enabled:
            self._write(_wrapped((text,), min(self._columns() or _COLUMNS, _COLUMNS)))

    def _columns(self) -> int | None:
        """The terminal's width now; None where it is no terminal."""
        try:
            return os.get_terminal_size(self._fd).columns or _COLUMNS
        except OSError:
            return None

    def _write(self, lines: list[str]) -> None:
        try:
            write_lines(self._fd, lines)
        except OSError:
            # The terminal or the reader is gone: the run goes on without it.
            self._enabled = False


def _wrapped(parts: Sequence[str], columns: int) -> list[str]:
    """The first part with the time of day in front, the others below it, further in."""
    stamp = f"{time.strftime('%H:%M:%S')} "
    below = " " * len(stamp)
    lines: list[str] = []
    for number, part in enumerate(parts):
        if part.startswith("supervisor "):  # a line to type, which may be copied
            lines.append(f"{below}  {clean(part)}")
            continue
        lines += textwrap.wrap(
            clean(part),
            max(columns, 2 * len(stamp)),
            initial_indent=f"{below}  " if number else stamp,
            subsequent_indent=f"{below}    " if number else below,
            break_on_hyphens=False,
            break_long_words=False,
        )
    return lines
