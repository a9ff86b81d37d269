"""The memory tier as decisions see it: facts about snapshots, which a power cut destroys."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MemorySnapshot:
    """The newest whole snapshot in memory."""

    sequence: int
    step: int
    is_durable: bool = False
    """A checkpoint on the disk holds it."""
    persist_s: float = 0.0
    """How long persisting it takes, in seconds, as far as that can be told."""


@dataclass(frozen=True, slots=True)
class RescueWait:
    """The supervisor waits before its end until a snapshot is on the disk: once, and for a time."""

    limit_s: float
    is_over: bool = False
    error: str | None = None
    """Why the snapshot is not on the disk. None: no error was reported."""
