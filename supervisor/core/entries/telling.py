"""Entries of what others were told: a message to people, a hook that failed."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class HookFailedEntry(Entry, kind="hook_failed"):
    """A hook failed, for the first time in this supervisor's life."""

    hook: str
    """`attempt_ended`, `checkpoint_proven`, `held` or `finished`."""
    reason: str
