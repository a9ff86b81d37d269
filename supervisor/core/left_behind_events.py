"""Events about processes that a main process has left behind with exit code 0."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MainEnded:
    """The main process has exited with 0; the launcher asks what to do with those it left."""

    attempt: int
    at: float
    """When it ended."""
    names: tuple[str, ...] = ()
    is_settled: bool = False
    """Training is known to be over, or none of them can train: nothing is waited for."""
    trained: bool = False
    """An earlier daemon has seen that they train."""


@dataclass(frozen=True, slots=True)
class LeftSeen:
    """One look at the processes that the main process has left."""

    attempt: int
    sign: str | None = None
    """What shows that they trained since the last look. None: nothing does."""
    names: tuple[str, ...] = ()
    is_idle: bool = False
    """All of them have names of programs that are known not to train."""
    stood_still: bool | None = None
    """Their counters did not move since the last look. None: that was not measured."""
