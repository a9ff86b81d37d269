"""The answer of a survey, as a value that travels between processes as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.checkpoint.json_record import plain, read_record
from supervisor.checkpoint.records import CheckpointEntry, Missing
from supervisor.survey.elsewhere.sightings import Sightings


@dataclass(frozen=True, slots=True)
class Survey:
    """All checkpoints, newest first; those that were set aside come last.

    `exists`: this run has or had checkpoints, valid or not, so a start from nothing loses
    something. `undecided`: checkpoints that this run did not make, while the user has said neither
    `use` nor `ignore`. `torn_first`: the name of the run's only checkpoint, if it is a first save
    that was cut off. `mount`: the mount point that holds the directory. `sightings`: the answer to
    the request's `search`. `clock_ahead_s`: the answer to `reads_clock`; None if it is not known.
    `unmounted`: the mount point that held the directory, if nothing is mounted on it now.
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
    unmounted: str | None = None

    @property
    def bare_mount(self) -> str | None:
        """The mount point that held the run's checkpoints, if nothing is mounted on it now."""
        missing = None if self.missing is None else self.missing.unmounted
        return missing or self.unmounted

    def to_json(self) -> dict[str, Any]:
        """As JSON values; `newest_valid` becomes an index into `entries`."""
        newest = self.newest_valid
        return {
            "entries": [entry.to_json() for entry in self.entries],
            "newest_valid": None if newest is None else self.entries.index(newest),
            "exists": self.exists,
            "undecided": [str(path) for path in self.undecided],
            "missing": None if self.missing is None else plain(self.missing),
            "torn_first": self.torn_first,
            "mount": self.mount,
            "sightings": None if self.sightings is None else self.sightings.to_json(),
            "clock_ahead_s": self.clock_ahead_s,
            "unmounted": self.unmounted,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Survey":
        """The inverse of `to_json`, also for another version's JSON, as in `SurveyRequest`.

        Raises KeyError, TypeError, IndexError.
        """
        if lacking := {"exists", "newest_valid", "undecided"} - record.keys():
            # With the defaults of these keys the run would begin from nothing.
            raise KeyError(*lacking)
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
