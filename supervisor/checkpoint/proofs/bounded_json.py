"""JSON from files that anybody may have written: what it takes in memory is known beforehand.

`{},{},{}…` becomes 24 times as large when it is parsed, and brackets may be nested without end.
"""

import json
from typing import Any

# An empty object and its place in a list (CPython 3.11); nothing takes more for its marks.
_BYTES_A_VALUE = 72
# The text is decoded (up to 4 bytes a character), and strings are copied out of it.
_BYTES_A_BYTE = 5
_MOST_BYTES = 320 << 20


class TooLargeError(ValueError):
    """The text may be JSON, but parsing it could take too much memory."""


def parse(data: bytes) -> Any:
    """The value. Raises ValueError for what is no JSON or nested too deeply, TooLargeError."""
    values = sum(data.count(mark) for mark in (b",", b":", b"[", b"{"))
    if values * _BYTES_A_VALUE + len(data) * _BYTES_A_BYTE > _MOST_BYTES:
        raise TooLargeError(f"holds {values} values in {len(data)} bytes, too many")
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error


def whole(value: object) -> int:
    """A count or a size from JSON. Raises ValueError for anything else (`true`, 1e999, -1)."""
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError(f"{value!r:.40} is no count")
    return value
