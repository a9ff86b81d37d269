"""The question to a survey, as a value that travels between processes as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from supervisor.checkpoint.json_record import plain, read_record
from supervisor.checkpoint.records import Known, Remembered
from supervisor.rundir.save_writers import SaveWriters
from supervisor.survey.elsewhere.sightings import SaveSearch


@dataclass(frozen=True, slots=True)
class SurveyRequest:
    """What to look at and what is known already.

    All times (`…_wall`) are seconds since 1970.

    `memory`: verdicts by the checkpoint's path as `str(entry.path)`. `existing`: `resume.existing`.
    `quiet`: no process is alive that could write a checkpoint. `first_attempt_wall`: a checkpoint
    that is newer than this and has no manifest is taken for this run's own. `thorough`: prove all,
    instead of stopping at the newest valid one. `pattern`: the user's regular expression for the
    names of checkpoints, with a group `step`. `snapshots`: the directory of the run's snapshots in
    memory. `known`: the checkpoints on record since the run last began from nothing, at
    `begun_wall`. `mount`: the mount point that held them. `attempt_…`: when the last attempt
    started, whether it was cut off or its end not seen, and the highest step that it was seen at.
    `ended_wall`: when that attempt ended. `search`: the attempt whose saves are looked for
    elsewhere if this run shows no checkpoint. `set_aside`: the folder in the run directory that
    holds checkpoints set aside. `reads_clock`: measure how far the file system's clock is ahead.
    `described`: the directories that this run's trainers named, the one to look at first being the
    first. `bests`: paths of checkpoints that they called their best. `run_dir`: the run directory,
    for the saves that this run and the runs beside it put on record. `writers`: what these say; a
    survey reads it.
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
    described: tuple[str, ...] = ()
    bests: tuple[str, ...] = ()
    run_dir: Path | None = None
    writers: SaveWriters = field(default_factory=SaveWriters)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        record = plain(self)
        record["memory"] = {path: plain(known) for path, known in self.memory.items()}
        record["search"] = None if self.search is None else self.search.to_json()
        del record["writers"]
        record["known"] = [plain(known) for known in self.known]
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "SurveyRequest":
        """The inverse of `to_json`, also for another version's JSON (`read_record`).

        An upgrade while the run lives leaves a daemon and its child with different versions.
        Raises KeyError, TypeError.
        """
        return read_record(
            cls,
            record,
            directory=Path,
            snapshots=Path,
            run_dir=Path,
            set_aside=Path,
            pins=frozenset,
            search=SaveSearch.from_json,
            described=tuple,
            bests=tuple,
            known=lambda known: tuple(read_record(Known, one) for one in known),
            memory=lambda memory: {
                path: read_record(Remembered, known) for path, known in memory.items()
            },
        )
