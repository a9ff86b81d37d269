"""Signs of life: what a training loop shows that has no adapter and does not attach.

A sign says that the loop lives. It is no step, no total, and no progress for a budget.
"""

from dataclasses import dataclass
from enum import StrEnum


class SignPhase(StrEnum):
    """What a loop has said that it does between two signs."""

    NONE = "none"
    SAVE = "save"
    LOAD = "load"


class StopAnswer(StrEnum):
    """What a loop does about a stop."""

    NONE = "none"
    """SIGTERM has its usual effect."""
    HANDLED = "handled"
    """No SIGTERM came yet; at one the loop may wait for its next save."""
    WAITS = "waits"
    """SIGTERM came, and the loop trains on to its own next save."""
    ENDS = "ends"
    """SIGTERM came, and the loop ends at once: no save is due."""


class OwnSave(StrEnum):
    """What became of the wait for a loop's own save at a stop."""

    AWAITED = "awaited"
    MADE = "made"
    """A checkpoint newer than the stop is proven, and the loop was asked again to end."""
    MISSED = "missed"
    """The grace was nearly over, and no save had come."""
    NOT_DUE = "not due"
    """The loop ended at once, since its next save would not have come within the grace."""


@dataclass(frozen=True, slots=True)
class SaveTimes:
    """When a loop's last proven save was written, and when its next one is expected; monotonic."""

    written_at: float
    due_at: float


@dataclass(frozen=True, slots=True)
class SignsSeen:
    """The signs of life of an attempt's living processes were read; times are monotonic seconds."""

    attempt: int
    processes: int = 0
    """Processes that live and have given a sign."""
    last_at: float | None = None
    """When the newest sign came, or a phase began or ended. None: no process has given two."""
    longest_gap_s: float = 0.0
    """The longest time between two signs of a process of this attempt, outside of phases."""
    longest_phase_s: float = 0.0
    """The longest phase that was seen to end."""
    phase: SignPhase = SignPhase.NONE
    saves: SaveTimes | None = None
    """None: not known, or a save came since the last proven one that is not proven yet."""
    stop: StopAnswer = StopAnswer.NONE
