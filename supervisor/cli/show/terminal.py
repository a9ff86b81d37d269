"""Makes text safe for a terminal, and lays it out and colours it; it must not import rich."""

import json
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, TextIO

import click

# ECMA-48: CSI … final, OSC/DCS/SOS/PM/APC … terminator, two-byte escapes, then single controls.
_SEQUENCES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x9b[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]P^_X]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
_INTRODUCERS = re.compile(r"[\x1b\x90\x98\x9b\x9d-\x9f]")
# DEL and C1, characters that change the reading order, and line separators. `_CONTROLS` adds C0
# without tab and line feed.
_DANGEROUS = r"\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
_CONTROLS = re.compile(rf"[\x00-\x08\x0b-\x1f{_DANGEROUS}]")
_IN_JSON = re.compile(rf"[{_DANGEROUS}\ud800-\udfff]")

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "dim": "2", "bold": "1"}


def strip_controls(text: str, *, keep_lines: bool = False) -> str:
    r"""Text without control sequences: a log line must not move the cursor or set the title.

    Where a progress bar overwrote a line (`\r`), its last state is kept. Tabs stay. Line ends stay
    only with `keep_lines`.
    """
    if text.isprintable():
        return text
    # Look for the first character of a sequence: that takes a fifth of the time of the full search.
    plain = _SEQUENCES.sub("", text) if _INTRODUCERS.search(text) else text
    if keep_lines and "\r" not in plain:
        return _CONTROLS.sub("", plain)
    if keep_lines:
        return "\n".join(strip_controls(line) for line in plain.split("\n"))
    plain = plain.rstrip("\r\n").replace("\n", " ")
    if "\r" in plain:
        plain = plain.rsplit("\r", 1)[1]
    return _CONTROLS.sub("", plain)


def echo(text: str, *, err: bool = False) -> None:
    """Print lines that may hold foreign names. Colours would be removed with the controls."""
    click.echo(strip_controls(text, keep_lines=True), err=err)


def json_text(body: Any, *, indent: int | None = 2) -> str:
    r"""JSON without dangerous characters: `\u202e` stands for one, and parses to the same."""
    text = json.dumps(body, indent=indent, ensure_ascii=False)
    return _IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def clip(text: str, width: int) -> str:
    """At most `width` characters; an ellipsis ends a text that was cut."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def has_colour(stream: TextIO | None) -> bool:
    """Whether colour may be used: not under NO_COLOR (no-color.org), dumb terminals, pipes."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream is not None and stream.isatty()


def paint(text: str, colour: str | None, *, stream: TextIO | None = None) -> str:
    """The text in a colour where the stream takes colours."""
    if colour is None or not has_colour(stream or sys.stdout):
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def table(rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()) -> str:
    """Rows in columns two spaces apart; the columns in `right` are aligned to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
