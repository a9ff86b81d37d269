"""The entry of a message to people."""

from dataclasses import dataclass

from supervisor.core.entries.entry import Entry
from supervisor.core.json_object import left_out


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifiedEntry(Entry, kind="notified"):
    """A message was sent, or was given up; it is not sent again."""

    told: tuple[str, ...]
    """What it told: the event, and which of its kind in the run."""
    reached: int = 0
    """How many targets took it."""
    of: int = 0
    """How many there are."""
    handed_over: bool = left_out(False)
    """The supervisor ended meanwhile: nobody knows whether more took it."""
