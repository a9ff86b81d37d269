"""Parses JSON that any program may have written, unless that could take too much memory.

The need is estimated before parsing. `{},{},{}…` becomes 24 times as large when it is parsed, and
brackets may be nested without end.
"""

import json
from typing import Any

# An empty object and its place in a list (CPython 3.11). No value takes more memory for each of the
# marks that are counted.
_BYTES_A_VALUE = 72
# The text is decoded (up to 4 bytes a character), and strings are copied from it.
_BYTES_A_BYTE = 5
_MOST_BYTES = 320 << 20


class TooLargeError(ValueError):
    """The text may be JSON, but parsing it could take too much memory."""


def parse(data: bytes) -> Any:
    """Parse JSON. Raises TooLargeError, and ValueError if it is no JSON or nested too deeply."""
    values = sum(data.count(mark) for mark in (b",", b":", b"[", b"{"))
    if values * _BYTES_A_VALUE + len(data) * _BYTES_A_BYTE > _MOST_BYTES:
        raise TooLargeError(f"holds {values} values in {len(data)} bytes, too many")
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error


def whole(value: object) -> int:
    """Return a count or a size from JSON, below 2**63.

    Raises ValueError for anything else (`true`, 1e999, -1).
    """
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError(f"{value!r:.40} is no count")
    return value
