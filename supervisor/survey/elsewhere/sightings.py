"""One look for a trainer's saves outside the checkpoint directory: at processes, then at the disk.

Call it only from the process that reads checkpoints: /proc and a disk may both keep it waiting.
"""

import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from supervisor.checkpoint.json_record import read_record
from supervisor.survey.elsewhere import save_places
from supervisor.survey.elsewhere.directory_walk import WalkBudget
from supervisor.survey.elsewhere.findings import (
    DirectorySaves,
    FileLook,
    SearchRequest,
    inventory,
    search,
)
from supervisor.survey.elsewhere.records import read_seen

# Bounds for the memo. It is written and read at each look, and a training of months has many looks.
_MOST_PLACES = 256
_MOST_KNOWN = 20_000
# With a disk that answers, a look takes two seconds at most.
_PATIENCE_S = 8.0
_unanswered: threading.Thread | None = None


@dataclass(frozen=True, slots=True)
class Memo:
    """What one look hands to the next look of the same attempt.

    `places`, `working_directories`: seen so far. `open_files`: seen so far, one for each directory.
    `known_before`: the paths that existed before the first step. All are bounded. The newest stay,
    but in `known_before` the first.
    """

    places: tuple[str, ...] = ()
    working_directories: tuple[str, ...] = ()
    open_files: tuple[str, ...] = ()
    known_before: tuple[str, ...] = ()
    seen: Mapping[str, FileLook] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "places": list(self.places),
            "working_directories": list(self.working_directories),
            "open_files": list(self.open_files),
            "known_before": list(self.known_before),
            "seen": {path: list(seen) for path, seen in self.seen.items()},
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Memo":
        """The inverse of `to_json`. Raises KeyError, TypeError."""
        return read_record(
            cls,
            record,
            places=tuple,
            working_directories=tuple,
            open_files=tuple,
            known_before=tuple,
            seen=read_seen,
        )


@dataclass(frozen=True, slots=True)
class SaveSearch:
    """What is known of an attempt whose saves are looked for; times in seconds since 1970.

    `variables`: what the configuration adds to the environment. `main_pid`: None once it ended.
    `steps_seen`: whether steps are seen. `since`: the first step, or the attempt's start without
    `steps_seen`. `takes_stock`: this look only notes which paths existed before the first step.
    """

    command: tuple[str, ...]
    cwd: str
    variables: Mapping[str, str]
    run_id: str
    run_dir: str
    supervised: str
    pattern: str | None
    main_pid: int | None
    since: float
    until: float | None
    steps_seen: bool
    takes_stock: bool
    memo: Memo = Memo()

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        record = {name: getattr(self, name) for name in self.__slots__}
        return {**record, "command": list(self.command), "memo": self.memo.to_json()}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "SaveSearch":
        """The inverse of `to_json`. Raises KeyError, TypeError."""
        return read_record(cls, record, command=tuple, memo=Memo.from_json)


@dataclass(frozen=True, slots=True)
class Sightings:
    """The result of a look: saves, the surest first, and the memo for the next look.

    `is_truncated`: a bound was reached, so that the look saw only a part.
    """

    saves: tuple[DirectorySaves, ...]
    memo: Memo
    is_truncated: bool = False

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "saves": [one.to_json() for one in self.saves],
            "memo": self.memo.to_json(),
            "is_truncated": self.is_truncated,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Sightings":
        """The inverse of `to_json`. Raises KeyError, TypeError."""
        return read_record(
            cls,
            record,
            saves=lambda saves: tuple(DirectorySaves.from_json(one) for one in saves),
            memo=Memo.from_json,
        )


def look_in_time(order: SaveSearch) -> Sightings | None:
    """`look`, within 8 s; None if a process or a disk does not answer in that time.

    While such a look still hangs, later ones return None at once. A decision waits for the survey
    that this is a part of. The look runs in a thread, since a system call on a dead mount cannot be
    interrupted.
    """
    global _unanswered
    if _unanswered is not None and _unanswered.is_alive():
        return None
    found: list[Sightings] = []
    thread = threading.Thread(target=lambda: found.append(look(order)), daemon=True)
    thread.start()
    thread.join(_PATIENCE_S)
    if found:
        return found[0]
    _unanswered = thread
    return None


def look(order: SaveSearch) -> Sightings:
    """Look once. Raises nothing for odd processes or files."""
    environment = {**os.environ, **order.variables}
    memo = _with_processes(order, environment)
    request = SearchRequest(
        places=tuple(Path(place) for place in memo.places),
        working_directories=tuple(Path(folder) for folder in memo.working_directories),
        open_files=tuple(Path(file) for file in memo.open_files),
        since=order.since,
        steps_seen=order.steps_seen,
        until=order.until,
        uid=os.getuid(),
        supervised=Path(order.supervised),
        run_id=order.run_id,
        run_dir=Path(order.run_dir),
        caches=save_places.cache_directories(environment),
        known_before=frozenset(memo.known_before),
        before=memo.seen,
        pattern=order.pattern,
    )
    if order.takes_stock:
        budget = WalkBudget()
        # The look comes a moment after the first step. A file newer than that step may be a save.
        before = (path for path in inventory(request, budget) if _is_older(path, order.since))
        known = tuple(dict.fromkeys([*memo.known_before, *before]))
        is_truncated = budget.is_exceeded or len(known) > _MOST_KNOWN
        return Sightings((), replace(memo, known_before=known[:_MOST_KNOWN]), is_truncated)
    found = search(request)
    return Sightings(found.saves, replace(memo, seen=found.seen), found.is_truncated)


def _with_processes(order: SaveSearch, environment: Mapping[str, str]) -> Memo:
    """The memo, with places from the attempt's processes and the configured command added."""
    pids = () if order.main_pid is None else save_places.processes_of(order.main_pid)
    commands = [
        save_places.CommandLine(order.command, Path(order.cwd)),
        *save_places.commands_of(pids),
    ]
    argvs, cwds = [one.argv for one in commands], [one.cwd for one in commands]
    memo = order.memo
    opened = {path.parent: str(path) for path in save_places.open_for_writing(pids)}
    earlier = {Path(path).parent: path for path in memo.open_files}
    closed = [path for folder, path in earlier.items() if folder not in opened]
    return replace(
        memo,
        places=_merged(memo.places, save_places.places(argvs, cwds, environment)),
        working_directories=_merged(
            memo.working_directories, save_places.working_directories(commands)
        ),
        open_files=(*closed, *opened.values())[-_MOST_PLACES:],
    )


def _merged(before: Iterable[str], now: Iterable[Path]) -> tuple[str, ...]:
    """Both, each path once; of too many, those that were seen last."""
    last_first = dict.fromkeys(reversed([*before, *map(str, now)]))
    return tuple(reversed(list(last_first)[:_MOST_PLACES]))


def _is_older(path: str, since: float) -> bool:
    try:
        return Path(path).lstat().st_mtime < since
    except OSError:
        return False
