"""Parts of `status.json` that are measures: what a kill now would lose, and the GPUs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AtRiskStatus:
    """What would be lost if the attempt were killed now."""

    steps: int | None = None
    """Since the newest valid checkpoint or snapshot; null where steps are not known."""
    seconds: float | None = None
    """How long these steps took; without steps, the time since the newest save."""


@dataclass(frozen=True, slots=True)
class GpuStatus:
    """One GPU that the running attempt uses."""

    index: int
    busy: float | None = None
    """The share of the time in which it worked, 0 to 1."""
    used_bytes: int | None = None
    total_bytes: int | None = None
