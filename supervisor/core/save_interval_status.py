"""The part of `status.json` on the time between saves."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SaveIntervalStatus:
    """The [time between saves](checkpoints.md#how-often-to-save) that loses the least."""

    present_s: float | None = None
    """How often the trainer saves, as it says or as was seen."""
    best_s: float | None = None
    """What would lose the least, without the bounds of `checkpoints: {interval: auto}`."""
    best_steps: int | None = None
    """The same in steps; null where the time of a step is not known."""
    save_s: float | None = None
    """How long a save holds training up, usually."""
    failures: int = 0
    """How often the run has failed."""
    mttf_s: float | None = None
    """The mean time to failure that follows from these, and from what clusters measured."""
    recovery_s: float | None = None
    """From a failure to the first step after it, as measured; before that as long as the longest
    start, or 60 s."""
    auto: bool = False
    """Whether the trainer chooses the interval by these."""
