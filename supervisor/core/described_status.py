"""What `status.json` says of the trainer's own description."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrainingStatus:
    """One training of the trainer's process."""

    directory: str | None = None
    """Where its output goes."""
    ordinal: int | None = None
    """Which training with that directory it is, in its process."""


@dataclass(frozen=True, slots=True)
class DescribedStatus:
    """What the trainer of the current or last attempt says of itself."""

    directory: str | None = None
    """Where it saves."""
    best: str | None = None
    """The checkpoint that it calls its best."""
    training: TrainingStatus | None = None
    """The training that it is in, or was in last."""
