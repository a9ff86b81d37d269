"""How launcher and daemon talk: one JSON object a line. It must not read or write by itself."""

from __future__ import annotations

import json

from supervisor.launcher import messages
from supervisor.launcher.message_fields import Message, UnfitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from supervisor.launcher.messages import Order

# A launch carries an argument list and an environment: Linux allows 128 KiB a string.
LONGEST_LINE_BYTES = 8 << 20


def encode(message: dict[str, Any]) -> bytes:
    """Return a message as one line; bytes that were no UTF-8 survive as surrogate escapes."""
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"


class Unfit(Message):
    """What was sent and is left out: `why` goes on from `what`. `attempt`: where it says one."""

    what: str
    attempt: int | None
    why: str


Heard = messages.Report | Unfit


def _by_kind(union: Any) -> dict[str, Any]:
    return {message.kind: message for message in union.__args__}


_ORDERS, _REPORTS = _by_kind(messages.Order), _by_kind(messages.Report)


def order_of(told: dict[str, Any]) -> Order | Unfit:
    """Return what the daemon orders; never raises."""
    return _message_of(told, _ORDERS, messages.KillOrder.key)  # type: ignore[no-any-return]


def report_of(told: dict[str, Any]) -> Heard:
    """Return what the launcher reports; never raises."""
    return _message_of(told, _REPORTS, messages.Hello.key)  # type: ignore[no-any-return]


def _message_of(told: dict[str, Any], known: dict[str, Any], key: str) -> Any:
    what, attempt = str(told.get(key)), told.get("attempt")
    why = "is unknown"
    try:
        if what in known:
            return known[what].from_json(told)
    except UnfitError as error:
        why = f"does not fit: {error}"
    return Unfit(what=what, attempt=attempt if type(attempt) is int else None, why=why)


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
