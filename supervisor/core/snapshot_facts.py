"""The memory tier as decisions see it: facts about snapshots that a power cut would take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MemorySnapshot:
    """The newest whole snapshot in memory."""

    sequence: int
    step: int
    is_durable: bool = False
    """A checkpoint on the disk holds it."""
    persist_s: float = 0.0
    """What persisting it takes, as far as that can be told, in seconds."""


@dataclass(frozen=True, slots=True)
class RescueWait:
    """The supervisor's end waits until a snapshot is on the disk; once, and not for ever."""

    limit_s: float
    is_over: bool = False
    error: str | None = None
    """Why it is not on the disk; None as long as nobody said so."""
