"""What a search for a trainer's saves is asked and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from supervisor.checkpoint.json_record import read_record


class FileLook(NamedTuple):
    """One weight-like file at one look.

    `rewrites`: how often a later look found it written anew. `is_settled`: nothing had been
    written into it for some seconds, so that a later change is no part of the same save.
    """

    inode: int
    size: int
    mtime_ns: int
    rewrites: int = 0
    is_settled: bool = False


def read_seen(record: Mapping[str, Any]) -> dict[str, FileLook]:
    """Files by path, from lists that may have more or fewer values. Raises TypeError."""
    return {path: FileLook(*values[: len(FileLook._fields)]) for path, values in record.items()}


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """Where to look, and what counts. All times are seconds since 1970.

    `places`: directories that the trainer's arguments name. `open_files`: files that its processes
    have open for writing. `since`: the attempt's first step, or its start where no steps are seen
    (`steps_seen`); None: no attempt, nothing counts. `until`: when it ended, None while it runs.
    `uid`: whose files count. `caches`: directories that are not looked into, but for a place that
    lies in one. `known_before`: what `inventory` found before the first step.
    `before`: what the last look saw. `pattern`: `checkpoints.pattern`. `supervised`: where the
    supervisor looks itself. `run_id`, `run_dir`: ours; what is marked as another's is passed over.
    """

    places: tuple[Path, ...]
    working_directories: tuple[Path, ...]
    open_files: tuple[Path, ...]
    since: float | None
    steps_seen: bool
    until: float | None
    uid: int
    supervised: Path
    run_id: str
    run_dir: Path
    caches: tuple[Path, ...] = ()
    known_before: frozenset[str] = frozenset()
    before: Mapping[str, FileLook] = field(default_factory=dict)
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class DirectorySaves:
    """The saves of one directory.

    `names`: newest first, at most five. `step`: what the newest name says. `is_recognised`: the
    supervisor knows such names. `suggested_pattern`: for `checkpoints.pattern` where it does not.
    `newest`: when the newest was written, seconds since 1970. `is_new_each_start`: the trainer
    makes another such directory at its next start. `is_named`: the trainer's arguments name it.
    """

    directory: Path
    names: tuple[str, ...]
    step: int | None
    is_recognised: bool
    is_directories: bool
    suggested_pattern: str | None
    newest: float
    is_new_each_start: bool
    is_named: bool

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "directory": str(self.directory),
            "names": list(self.names),
            "step": self.step,
            "is_recognised": self.is_recognised,
            "is_directories": self.is_directories,
            "suggested_pattern": self.suggested_pattern,
            "newest": self.newest,
            "is_new_each_start": self.is_new_each_start,
            "is_named": self.is_named,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "DirectorySaves":
        """The inverse of `to_json`. Raises KeyError, TypeError."""
        return read_record(cls, record, directory=Path, names=tuple)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What was found: first in places that arguments name, then the newest.

    `seen` is the next request's `before`. `is_truncated`: a bound was reached, not all was read.
    """

    saves: tuple[DirectorySaves, ...] = ()
    seen: Mapping[str, FileLook] = field(default_factory=dict)
    is_truncated: bool = False
