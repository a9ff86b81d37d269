"""How launcher and daemon talk: one JSON object a line. It must not read or write by itself."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# A launch carries an argument list and an environment: Linux allows 128 KiB a string.
LONGEST_LINE_BYTES = 8 << 20


def encode(message: dict[str, Any]) -> bytes:
    """Return a message as one line; bytes that were no UTF-8 survive as surrogate escapes."""
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"


def stop_of(order: dict[str, Any]) -> tuple[int, float | None, bool]:
    """Return a "stop" order's signal, what it leaves of the grace (None: not said), and its kind.

    Daemons of earlier versions say the signal alone. Raises KeyError, TypeError or ValueError.
    """
    grace_s = order.get("grace_s")
    left_s = None if grace_s is None else float(grace_s)
    return int(order["signal"]), left_s, bool(order.get("is_hang"))


class Decoder:
    """Turn a byte stream back into messages; `garbage` counts the lines that were none."""

    __slots__ = ("_partial", "_skipping", "garbage")

    def __init__(self) -> None:
        self._partial = bytearray()
        self._skipping = False
        self.garbage = 0

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Return the messages that `data` completes; never raises on what the peer sent."""
        self._partial += data
        if b"\n" not in data:
            if len(self._partial) > LONGEST_LINE_BYTES:
                self._partial.clear()
                self._skipping = True
            return []
        *lines, rest = self._partial.split(b"\n")
        self._partial = bytearray(rest)
        messages = []
        for line in lines:
            if self._skipping:
                self._skipping = False
                self.garbage += 1
                continue
            try:
                message = json.loads(line)
            except (ValueError, RecursionError):
                self.garbage += 1
                continue
            if isinstance(message, dict):
                messages.append(message)
            else:
                self.garbage += 1
        return messages
