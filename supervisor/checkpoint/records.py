"""What is known of checkpoints, as values that processes send each other as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from supervisor.checkpoint.json_record import plain, read_record
from supervisor.core.vocabulary import Tier

Proof = Literal["hashes", "structure", "files"]
NOT_FINITE = "not all of its weights are finite"
# A valid checkpoint may have this reason.
ENDED = (
    "its training has ended: the trainer took the optimizer out of it, so no run can resume from it"
)
NO_OPTIMIZER = "it holds no optimizer state: resuming resets the optimizer and its schedule"


@dataclass(frozen=True, slots=True)
class Remembered:
    """An earlier verdict on a checkpoint, from the ledger. `own_run`: this run made the checkpoint.

    `names_best`: names of the checkpoints that its own record calls the best, joined by `/`. None:
    the record was not read yet, or could not be read.
    """

    fingerprint: str
    valid: bool
    proof: Proof | None
    reason: str | None
    hashes: Mapping[str, str]
    step: int | None
    epoch: int | None
    kind: str | None
    bytes: int
    own_run: bool = True
    names_best: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """A checkpoint that has been on record since `seen`, in seconds since 1970.

    `is_proven`: it was found valid. Otherwise it was only seen, too young for a verdict.
    """

    path: str
    fingerprint: str
    step: int | None
    seen: float
    is_proven: bool = True


@dataclass(frozen=True, slots=True)
class Missing:
    """Checkpoints on record that are not on the disk. `sentence` says which, for people.

    `paths`: newest first. `unmounted`: the mount point that held them, if nothing is mounted on it
    now.
    """

    sentence: str
    paths: tuple[str, ...]
    unmounted: str | None = None

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Missing":
        """From its fields as JSON values. Raises KeyError, TypeError."""
        return read_record(cls, record, paths=tuple)


@dataclass(frozen=True, slots=True)
class CheckpointEntry:
    """One checkpoint, as far as it is known.

    `valid` is None if nothing was proven: the checkpoint is still being written, cannot be read,
    or was not looked at. `ours`: it has our manifest or mark. `own_run`: this run made it.
    `candidate`: this run may resume from it. `rememberable`: the verdict may be kept under
    `fingerprint`. `mtime` is in seconds since 1970, `epoch` an index from 0. A checkpoint in memory
    (`tier`) is lost in a power cut. `best`: a tool's record, or its name, calls it the best.
    `names_best`: as in `Remembered`.
    """

    path: Path
    name: str
    step: int | None
    epoch: int | None
    kind: str | None
    bytes: int
    valid: bool | None
    proof: Proof | None
    reason: str | None
    fingerprint: str
    hashes: Mapping[str, str]
    ours: bool
    own_run: bool
    candidate: bool
    finite: bool | None
    mtime: float
    remembered: bool
    rememberable: bool
    tier: Tier
    pinned: bool
    best: bool = False
    names_best: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The fields that `supervisor checkpoints --json` prints."""
        return {
            "path": str(self.path),
            "step": self.step,
            "epoch": self.epoch,
            "kind": self.kind,
            "tier": self.tier,
            "bytes": self.bytes,
            "valid": self.valid,
            "proof": self.proof,
            "reason": self.reason,
            "pinned": self.pinned,
            "best": self.best,
        }

    def as_remembered(self) -> Remembered | None:
        """Return the verdict for the next request's memory; None if it must not be kept."""
        if self.valid is None or not self.rememberable:
            return None
        return Remembered(
            fingerprint=self.fingerprint,
            valid=self.valid,
            proof=self.proof,
            reason=self.reason,
            hashes=self.hashes,
            step=self.step,
            epoch=self.epoch,
            kind=self.kind,
            bytes=self.bytes,
            own_run=self.own_run,
            names_best=self.names_best,
        )

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return plain(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "CheckpointEntry":
        """The inverse of `to_json`. Raises KeyError, TypeError."""
        return read_record(cls, record, path=Path, tier=Tier)
