"""The part of `status.json` on messages to people."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NotifyStatus:
    """Messages and pings of the run. No part of an address is in it."""

    sent: int = 0
    """Messages that reached a target."""
    failed: int = 0
    """Messages that reached no target, and are not tried again."""
    waiting: int = 0
    """Messages that are on their way, or wait for their turn."""
    problems: tuple[str, ...] = ()
    """Targets that did not take the last message, each with the reason."""
