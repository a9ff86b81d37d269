"""From JSON objects to the messages between launcher and daemon. Nothing here raises."""

from __future__ import annotations

from supervisor.launcher import messages
from supervisor.launcher.message_fields import Message, UnfitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from supervisor.launcher.messages import Order


class Unfit(Message):
    """A message that cannot be used: its kind `what`, and `why` as the rest of a sentence.

    `attempt` is the number that it gives, if any.
    """

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
