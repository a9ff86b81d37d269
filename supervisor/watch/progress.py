"""The step read from the log of a command that does not beat.

It must never fail on what a command prints.
"""

import re
from collections.abc import Iterable

# A pattern that backtracks takes time with the length of a line; steps stand in short ones.
_LINE_CHARACTERS_MAX = 2000


class ProgressReader:
    r"""Applies a pattern with a group named `step`, such as `step (?P<step>\d+)`."""

    __slots__ = ("_pattern",)

    def __init__(self, pattern: str) -> None:
        """Raises ValueError for a pattern that is wrong or has no group `step`."""
        try:
            self._pattern = re.compile(pattern)
        except re.error as error:
            raise ValueError(f"the pattern {pattern!r} is wrong: {error}") from error
        if "step" not in self._pattern.groupindex:
            raise ValueError(f"the pattern {pattern!r} has no group (?P<step>…)")

    def feed(self, lines: Iterable[str]) -> int | None:
        """The last step in these lines; None if none has one that is a number."""
        last = None
        for line in lines:
            for match in self._pattern.finditer(line[:_LINE_CHARACTERS_MAX]):
                step = _whole_number(match["step"])
                last = step if step is not None else last
        return last


def _whole_number(text: str | None) -> int | None:
    """`1,234`, `1_234` and `12.0` count too; a number that no training reaches does not."""
    digits = re.fullmatch(r"\s*(\d[\d,_]*)(?:\.0+)?\s*", text or "", re.ASCII)
    if digits is None:
        return None
    plain = digits[1].replace(",", "").replace("_", "")
    return int(plain) if len(plain) <= 15 else None
