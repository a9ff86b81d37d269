r"""Shows what a trainer printed: progress bars are drawn, and control sequences are removed.

Memory is constant, whatever the length of a line.
"""

import codecs
import re
import shutil
import time
from typing import TextIO

from supervisor.cli.show.terminal import clip, strip_controls

_LINE_CHARACTERS_MAX = 64 << 10
_DRAWN_EVERY_S = 1.0
_HARMLESS = bytes((*b"\t\n", *range(32, 127)))
# An escape sequence whose end has not come yet.
_BEGUN = re.compile(r"\x1b[^A-Za-z\x1b]{0,64}\Z")
_CLEAR_LINE = "\r\x1b[K"


class LogView:
    r"""Writes a log's bytes to a text stream: whole lines, and the last drawing of a bar (`\r`).

    With `follows`, each `settle` also shows a line that has no end yet. On a terminal a bar is
    drawn over itself. Elsewhere each drawing becomes a line, one a second at most.
    """

    def __init__(self, out: TextIO, *, follows: bool) -> None:
        self._out = out
        self._follows = follows
        self._is_terminal = out.isatty()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line = ""
        self._shown = ""
        self._drawn_at = float("-inf")
        self._is_returned = self._is_redrawn = self._is_begun = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the log."""
        is_harmless = not data.translate(None, _HARMLESS)
        # A truncation may leave a hole in the file, which reads as NULs.
        text = self._decoder.decode(data.translate(None, b"\0")).replace("\r\n", "\n")
        if "\r" not in text and not self._is_returned:
            first, end, more = text.partition("\n")
            self._extend(first)
            if end:
                self._end_line()
                lines, end, rest = more.rpartition("\n")
                self._out.write(lines if is_harmless else strip_controls(lines, keep_lines=True))
                self._out.write(end)
                self._extend(rest)
            return
        for count, part in enumerate(text.split("\n")):
            if count:
                self._end_line()
            self._take(part)

    def settle(self) -> None:
        """Show the unfinished last line: the caller has no more bytes for now."""
        shown = strip_controls(_BEGUN.sub("", self._line))
        now = time.monotonic()
        if not self._follows or shown == self._shown or not shown:
            self._out.flush()
            return
        is_longer = shown.startswith(self._shown) and not self._is_redrawn
        if not is_longer and not self._is_terminal and now - self._drawn_at < _DRAWN_EVERY_S:
            return
        self._drawn_at = now
        self._show(shown if is_longer or not self._is_terminal else self._clipped(shown))
        self._out.flush()

    def end(self) -> None:
        """End the log: an unfinished last line gets its line end."""
        self._take(self._decoder.decode(b"", final=True))
        if self._line or self._shown or self._is_begun:
            self._end_line()
        self._decoder.reset()
        self._out.flush()

    def _take(self, part: str) -> None:
        """Take a part of one line, with its carriage returns."""
        before, returned, last = part.rpartition("\r")
        if not returned:
            self._extend(part)
            return
        # The last drawing stays visible, even if carriage returns follow it.
        _, inner, drawing = before.rstrip("\r").rpartition("\r")
        if not inner and drawing:
            self._extend(drawing)
        elif drawing:
            self._redraw(drawing)
        self._is_returned = True
        self._extend(last)

    def _extend(self, text: str) -> None:
        if not text:
            return
        if self._is_returned:
            self._redraw(text)
            return
        self._line += text
        if len(self._line) > _LINE_CHARACTERS_MAX:
            self._show(strip_controls(self._line))
            self._line = self._shown = ""
            self._is_redrawn, self._is_begun = False, True

    def _redraw(self, drawing: str) -> None:
        if self._is_begun:  # too long to be a bar
            self._out.write("\n")
        self._line = ""
        self._is_returned, self._is_begun, self._is_redrawn = False, False, bool(self._shown)
        self._extend(drawing)

    def _end_line(self) -> None:
        plain = strip_controls(self._line)
        if plain != self._shown:
            self._show(plain)
        self._out.write("\n")
        self._line = self._shown = ""
        self._is_returned = self._is_redrawn = self._is_begun = False

    def _show(self, text: str) -> None:
        """Replace what the output's last line shows by this text."""
        if text.startswith(self._shown) and not self._is_redrawn:
            self._out.write(text[len(self._shown) :])
        else:
            self._out.write((_CLEAR_LINE if self._is_terminal else "\n") + text)
        self._shown, self._is_redrawn = text, False

    @staticmethod
    def _clipped(text: str) -> str:
        # A bar that fills more than one row cannot be drawn over.
        return clip(text, shutil.get_terminal_size().columns - 1)
