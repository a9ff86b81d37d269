"""What the daemon learns of processes that a main process has left behind with exit code 0."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MainEnded:
    """The main process has exited with 0 and left processes, and the launcher asks what of them."""

    attempt: int
    at: float
    """When it ended."""
    names: tuple[str, ...] = ()
    is_settled: bool = False
    """Training is known to be over, or none of them can train: nothing is waited for."""
    trained: bool = False
    """A daemon before has seen that they train."""


@dataclass(frozen=True, slots=True)
class LeftSeen:
    """One look at what the main process has left."""

    attempt: int
    sign: str | None = None
    """What shows that it trains, since the look before; None for nothing."""
    names: tuple[str, ...] = ()
    is_idle: bool = False
    """All of them are known by their names for what does not train."""
    stood_still: bool | None = None
    """Their counters did not move since the look before; None where that was not measured."""
