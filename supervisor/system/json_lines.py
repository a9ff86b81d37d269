"""One JSON object a line over a descriptor, both ways: how launcher, daemon and children talk.

It imports `json` and `os` alone: modules that the parked interpreter loads stay in a warm trainer.
"""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# A launch carries an argument list and an environment: Linux allows 128 KiB a string.
LONGEST_LINE_BYTES = 8 << 20
_READ_BYTES = 1 << 16
MOST_READS = 1024


def encode(message: Mapping[str, Any]) -> bytes:
    """Return a message as one line; bytes that were no UTF-8 survive as surrogate escapes."""
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"


class Decoder:
    """Turn a byte stream back into messages; `garbage` counts lines that are no message."""

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


class JsonLines:
    """One end of a connection; the descriptor is its own from now on.

    On a descriptor that does not block, nothing here waits: bytes that cannot be written at once
    are kept for `flush`. On one that blocks, `write` and `read` wait.
    """

    def __init__(self, fd: int) -> None:
        self.is_lost = False
        """Whether the other end is gone. Its last messages may still be read."""
        self.decoder = Decoder()
        self.unsent = bytearray()
        self._fd = fd

    def fileno(self) -> int:
        """Return the descriptor, for poll and select."""
        return self._fd

    def write(self, message: Mapping[str, Any]) -> None:
        """Write a message behind those that wait. It is dropped if the other end is gone."""
        self.unsent += encode(message)
        self.flush()

    def flush(self) -> None:
        """Write the bytes that wait, as far as the descriptor takes them."""
        try:
            while self.unsent and not self.is_lost:
                del self.unsent[: os.write(self._fd, self.unsent)]
        except BlockingIOError:
            return
        except OSError:  # EPIPE, ECONNRESET
            self.is_lost = True
        self.unsent.clear()

    def read(self, reads: int = MOST_READS) -> list[dict[str, Any]]:
        """Return the messages that have come, of `reads` reads at most: a peer may never stop."""
        messages: list[dict[str, Any]] = []
        for _ in range(reads):
            try:
                data = os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self.is_lost = True
                break
            messages += self.decoder.feed(data)
        return messages

    def close(self) -> None:
        """Close the descriptor: the other end reads what was written, and then the end."""
        os.close(self._fd)
