"""What a survey is asked and what it answers, as values that travel between processes as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from supervisor.checkpoint.json_record import read_record
from supervisor.checkpoint.save_search import SaveSearch, Sightings
from supervisor.core.vocabulary import Tier

Proof = Literal["hashes", "structure", "files"]
NOT_FINITE = "not all of its weights are finite"
# Said of a valid one.
NO_OPTIMIZER = "it holds no optimizer state: resuming resets the optimizer and its schedule"


@dataclass(frozen=True, slots=True)
class Remembered:
    """A verdict of before, as the ledger has it. `own_run`: this run made the checkpoint.

    `names_best`: whom its own record calls the best, names with `/` between them; None where
    nobody has looked yet.
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
    """A checkpoint that is on record since `seen`, in seconds since 1970.

    `is_proven`: it was found valid; else it was only seen, too young for a verdict.
    """

    path: str
    fingerprint: str
    step: int | None
    seen: float
    is_proven: bool = True


@dataclass(frozen=True, slots=True)
class Missing:
    """Checkpoints on record that are not on the disk, newest first, in a sentence.

    `unmounted` is the mount point that held them, if nothing is mounted on it now.
    """

    sentence: str
    paths: tuple[str, ...]
    unmounted: str | None = None

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Missing":
        """From its fields as JSON values. Raises KeyError, TypeError."""
        return read_record(cls, record, paths=tuple)


@dataclass(frozen=True, slots=True)
class SurveyRequest:
    """What to look at and what is known already.

    `memory`: verdicts by the checkpoint's path as `str(entry.path)`. `quiet`: nothing that could
    write is alive. `first_attempt_wall`: seconds since 1970; what is newer and has no manifest is
    taken for this run's own. `thorough`: prove all, not only down to the newest valid one.
    `pattern`: the user's regular expression for the names of checkpoints, with a group `step`.
    `snapshots`: the directory of the run's snapshots in memory, looked at as well.
    `known`: those on record since the run last began from nothing (at `begun_wall`), and `mount`,
    the mount point that held them. `attempt_…`: when the last attempt started, whether it was cut
    off (also where nobody saw its end), and the highest step that it was seen at.
    `search`: the attempt whose saves are looked for elsewhere, where this run shows none.
    `set_aside`: where in the run directory those are that were set aside.
    `reads_clock`: how far the directory's file system is ahead of our clock is wanted.
    """

    directory: Path
    run_id: str | None = None
    memory: Mapping[str, Remembered] = field(default_factory=dict)
    existing: Literal["use", "ignore"] | None = None
    quiet: bool = False
    pins: frozenset[str] = frozenset()
    first_attempt_wall: float | None = None
    thorough: bool = True
    pattern: str | None = None
    snapshots: Path | None = None
    known: tuple[Known, ...] = ()
    mount: str | None = None
    begun_wall: float | None = None
    attempt_wall: float | None = None
    ended_wall: float | None = None
    attempt_killed: bool = True
    attempt_step: int | None = None
    search: SaveSearch | None = None
    set_aside: Path | None = None
    reads_clock: bool = False

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        record = _plain(self)
        record["memory"] = {path: _plain(known) for path, known in self.memory.items()}
        record["search"] = None if self.search is None else self.search.to_json()
        record["known"] = [_plain(known) for known in self.known]
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "SurveyRequest":
        """The inverse of `to_json`, also of another version's (`read_record`). KeyError, TypeError.

        A daemon and its child are of two versions where an upgrade came while the run lives.
        """
        return read_record(
            cls,
            record,
            directory=Path,
            snapshots=Path,
            set_aside=Path,
            pins=frozenset,
            search=SaveSearch.from_json,
            known=lambda known: tuple(read_record(Known, one) for one in known),
            memory=lambda memory: {
                path: read_record(Remembered, known) for path, known in memory.items()
            },
        )


@dataclass(frozen=True, slots=True)
class CheckpointEntry:
    """One checkpoint, as far as it is known.

    `valid` is None where nothing was proven: it is still being written, cannot be read, or was
    not looked at. `ours`: it has our manifest or mark. `own_run`: this run made it. `candidate`:
    this run may resume from it. `rememberable`: the verdict may be kept under `fingerprint`.
    `mtime` is in seconds since 1970, `epoch` an index from 0. What is in memory (`tier`) is gone
    after a power cut. `best`: a tool's record, or its name, calls it the best; `names_best`: whom
    its own record calls so, as in `Remembered`.
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
        """What `supervisor checkpoints --json` shows of it."""
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
        """What to put into the next request's memory; None if the verdict must not be kept."""
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
        return _plain(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "CheckpointEntry":
        """The inverse of `to_json`. Raises KeyError, TypeError."""
        return read_record(cls, record, path=Path, tier=Tier)


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is, newest first, those set aside last.

    `exists`: this run has or had checkpoints, valid or not, so starting from nothing loses
    something. `undecided`: not made by this run, and nobody said `use` or `ignore`.
    `torn_first`: the name of the only one there, where it is a first save that was cut off.
    `mount`: the mount point that holds the directory. `sightings`: what `search` asked for.
    `clock_ahead_s`: what `reads_clock` asked for; None where nobody can say.
    """

    entries: tuple[CheckpointEntry, ...] = ()
    newest_valid: CheckpointEntry | None = None
    exists: bool = False
    undecided: tuple[Path, ...] = ()
    missing: Missing | None = None
    torn_first: str | None = None
    mount: str | None = None
    sightings: Sightings | None = None
    clock_ahead_s: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON values; `newest_valid` as its place in `entries`."""
        newest = self.newest_valid
        return {
            "entries": [entry.to_json() for entry in self.entries],
            "newest_valid": None if newest is None else self.entries.index(newest),
            "exists": self.exists,
            "undecided": [str(path) for path in self.undecided],
            "missing": None if self.missing is None else _plain(self.missing),
            "torn_first": self.torn_first,
            "mount": self.mount,
            "sightings": None if self.sightings is None else self.sightings.to_json(),
            "clock_ahead_s": self.clock_ahead_s,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Survey":
        """The inverse of `to_json`, also of another version's, as `SurveyRequest.from_json`.

        Raises KeyError, TypeError, IndexError.
        """
        if lacking := {"exists", "newest_valid", "undecided"} - record.keys():
            raise KeyError(*lacking)  # by default a run would begin from nothing
        entries = tuple(CheckpointEntry.from_json(entry) for entry in record["entries"])
        return read_record(
            cls,
            record,
            entries=lambda _: entries,
            newest_valid=lambda place: entries[place],
            undecided=lambda paths: tuple(Path(path) for path in paths),
            missing=Missing.from_json,
            sightings=Sightings.from_json,
        )


def _plain(value: Any) -> dict[str, Any]:
    """A dataclass's fields as JSON values, one level deep (`asdict` would copy all hashes)."""
    record: dict[str, Any] = {}
    for one in fields(value):
        content = getattr(value, one.name)
        match content:
            case Path():
                content = str(content)
            case frozenset():
                content = sorted(content)
            case Mapping():
                content = dict(content)
        record[one.name] = content
    return record
