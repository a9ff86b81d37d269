"""The question to a search for a trainer's saves, and its answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from supervisor.checkpoint.json_record import read_record


class FileLook(NamedTuple):
    """One weight-like file at one look.

    `rewrites`: how often a later look found it written anew. `is_settled`: it had not changed for
    some seconds at this look. So a later change belongs to another save.
    """

    inode: int
    size: int
    mtime_ns: int
    rewrites: int = 0
    is_settled: bool = False


def read_seen(record: Mapping[str, Any]) -> dict[str, FileLook]:
    """Files by path, from lists that another version may have written. Raises TypeError.

    Values beyond the fields of `FileLook` are dropped, and missing ones have their defaults.
    """
    return {path: FileLook(*values[: len(FileLook._fields)]) for path, values in record.items()}


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """Where to look, and which files count. All times are seconds since 1970.

    `places`: directories that the trainer's arguments name. `open_files`: files that its processes
    have open for writing. `steps_seen`: whether steps of the attempt are seen. `since`: its first
    step, or its start without `steps_seen`; None means no attempt, and no file counts. `until`:
    when it ended, None while it runs. `uid`: the user whose files count. `caches`: directories to
    pass over, unless `places` names a directory in one. `known_before`: the paths that `inventory`
    found before the first step. `before`: the files as the last look saw them. `pattern`:
    `checkpoints.pattern`. `supervised`: the directory in which the supervisor looks for
    checkpoints. `run_id`, `run_dir`: this run's. A directory that another run owns is passed over.
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

    `names`: newest first, at most five. `step`: the step in the newest name. `is_recognised`: the
    supervisor knows such names. `suggested_pattern`: a value for `checkpoints.pattern` if it does
    not know them. `newest`: when the newest save was written, seconds since 1970.
    `is_new_each_start`: the trainer makes another such directory at its next start. `is_named`: the
    trainer's arguments name the directory, or one above it. `how_to_resume`: how the tool that
    wrote the newest is told to resume, None if it is not known.
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
    how_to_resume: str | None = None

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
            "how_to_resume": self.how_to_resume,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "DirectorySaves":
        """The inverse of `to_json`. Raises KeyError, TypeError."""
        return read_record(cls, record, directory=Path, names=tuple)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The saves found: first those in directories that arguments name, then the newest.

    `seen` is the next request's `before`. `is_truncated`: a bound has cut the search short.
    """

    saves: tuple[DirectorySaves, ...] = ()
    seen: Mapping[str, FileLook] = field(default_factory=dict)
    is_truncated: bool = False
