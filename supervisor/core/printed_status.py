"""The part of `status.json` that only repeats what a trainer prints; it serves no decision."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PrintedStatus:
    """What the usual progress bars and lines in the log show, or else a library's table."""

    step: int | None = None
    """Of the run. Where a count begins again with each epoch, it is `batch` instead."""
    total: int | None = None
    """How many steps there are."""
    epoch: int | None = None
    epochs: int | None = None
    batch: int | None = None
    """How far the epoch is."""
    batches: int | None = None
    loss: float | None = None
    step_rate: float | None = None
    """Steps a second over the last five minutes."""
    file: str | None = None
    """The table that says so, such as `metrics.csv`, where the log says nothing."""
