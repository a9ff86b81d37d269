"""What `status.json` says of the signs of life of a loop without adapter."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SignOfLifeStatus:
    """The signs of life of a training loop that has no adapter and does not attach."""

    age_s: float | None = None
    """Since the newest sign. Null: no process has given two."""
    longest_gap_s: float | None = None
    """The longest time between two signs that this run has shown."""
    limit_s: float | None = None
    """After so long without a sign the attempt is looked at."""
    phase: str | None = None
    """`save` or `load`; null between them."""
    processes: int | None = None
    """How many give signs."""
