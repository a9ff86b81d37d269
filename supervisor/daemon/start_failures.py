"""What the launcher says of a command that it could not start, as the core's event."""

from collections.abc import Mapping
from typing import Any

from supervisor.core.events import StartFailed

# Missing resources pass (fork(2)), and so do leftovers (EBUSY) and a launch that was called off
# (ECANCELED); anything else is a wrong command.
_TRANSIENT_ERRNOS = frozenset({11, 12, 16, 23, 24, 28, 125})


def start_failed(message: Mapping[str, Any]) -> StartFailed:
    """The event for a "start_failed" message. Raises KeyError."""
    transient = message.get("errno") in _TRANSIENT_ERRNOS
    return StartFailed(int(message.get("attempt") or 0), str(message["message"]), transient)
