"""What became of a snapshot and of a save: values, since both may fail while training goes on."""

from pathlib import Path
from typing import Literal, NamedTuple


class Saved(NamedTuple):
    """How putting one snapshot onto the disk ended; `seconds` is what the disk took.

    `replaced`: a newer one was wanted while it waited for the disk. `finite`: whether all weights
    are; None if they were not checked. `path` is where it is, or was to be.
    """

    outcome: Literal["saved", "failed", "replaced"]
    step: int
    path: Path
    error: str | None = None
    bytes: int = 0
    seconds: float = 0.0
    finite: bool | None = None

    @property
    def ok(self) -> bool:
        """Whether it is on the disk."""
        return self.outcome == "saved"


class Taken(NamedTuple):
    """What one call did; training stood still for `stall_s`.

    `sequence` numbers the snapshot in memory; None: none was taken, and `reason` says why. `saved`
    says how a save ended, if that is known already: the call waited for it, or the state went
    straight to the disk.
    """

    step: int
    stall_s: float
    sequence: int | None
    reason: str | None = None
    saved: Saved | None = None

    @property
    def ok(self) -> bool:
        """Whether the state is in memory, or on the disk."""
        return self.sequence is not None or (self.saved is not None and self.saved.ok)
