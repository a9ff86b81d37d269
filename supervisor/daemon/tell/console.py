"""Plain lines for the user who started the run. A stalled reader must never stall the daemon."""

import textwrap
import time

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

    def say(self, line: str, priority: int = journal_stream.INFO) -> None:
        """One line with the local time of day in front; in the journal, with its priority."""
        if not self._enabled:
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
            stamp = f"{time.strftime('%H:%M:%S')} "
            lines = textwrap.wrap(
                clean(text),
                _COLUMNS,
                initial_indent=stamp,
                subsequent_indent=" " * len(stamp),
                break_on_hyphens=False,
            )
            self._write(lines)

    def _write(self, lines: list[str]) -> None:
        try:
            write_lines(self._fd, lines)
        except OSError:
            # The terminal or the reader is gone: the run goes on without it.
            self._enabled = False
