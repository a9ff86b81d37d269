"""Which directories a search looks into: bounded, breadth first, and never into another run's.

It follows no link but those in the places that it is told, and opens no file but an owner mark.
What it may not read it passes over.
"""

import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from supervisor.checkpoint import save_names
from supervisor.checkpoint.names import parse_name
from supervisor.checkpoint.search_records import SearchRequest

PLACE_LEVELS = 6
WORKING_DIRECTORY_LEVELS = 5
OPEN_FILE_LEVELS = 1
# A home, or a directory of everybody's, holds all that a user ever did.
_LEVELS_OF_WIDE_PLACES = 2
MOST_NAMES = 50_000
MOST_NAMES_OF_ONE = 20_000
MOST_SECONDS = 2.0
_MOST_MARK_BYTES = 64 << 10

_WIDE = frozenset(
    map(Path, ("/", "/home", "/root", "/tmp", "/mnt", "/media", "/opt", "/srv", "/scratch"))
)
_SYSTEM = frozenset(
    Path("/", name)
    for name in (
        *("bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "proc", "run", "sbin", "snap"),
        *("sys", "usr", "var"),
    )
)
_KERNEL = (Path("/proc"), Path("/sys"))
_SKIPPED_NAMES = frozenset(
    (
        *("__pycache__", "node_modules", "site-packages", "dist-packages", "lost+found"),
        *("wandb", "mlruns", "mlartifacts", "tensorboard", "triton_cache"),
    )
)
_SKIPPED_STARTS = ("models--", "datasets--", "spaces--", "torchinductor_", "triton_")
_SKIPPED_TAILS = ("/huggingface/hub", "/huggingface/datasets", "/torch/hub", "/tmp/triton")
# Of a virtual environment, of conda's, and the tag of a cache (bford.info/cachedir).
_SKIPPED_IF_IT_HOLDS = frozenset({"pyvenv.cfg", "conda-meta", "CACHEDIR.TAG"})
_STATE = ".supervisor"
_MARK = re.compile(r"\.(?P<name>.+)\.supervised-by", re.DOTALL)


class Budget:
    """How much may still be read; `is_exceeded` once something was passed over for that."""

    def __init__(self) -> None:
        self.is_exceeded = False
        self._names = MOST_NAMES
        self._deadline = monotonic() + MOST_SECONDS

    def take(self) -> bool:
        """Whether one more name may be looked at."""
        self._names -= 1
        if self._names < 0 or monotonic() > self._deadline:
            self.is_exceeded = True
        return not self.is_exceeded


class Listing(NamedTuple):
    """One directory: its files, and its directories that are numbered saves, by name.

    `is_named`: an argument of the trainer names it, or what is above it. `is_start`: the search
    was told of it.
    """

    path: Path
    files: tuple[str, ...]
    numbered: tuple[str, ...]
    is_named: bool
    is_start: bool


class _Place(NamedTuple):
    path: Path
    levels: int
    is_named: bool
    is_start: bool
    mtime_ns: int


def walk(request: SearchRequest, budget: Budget) -> Iterator[Listing]:
    """The directories to look at: named ones first, level by level, newest first."""
    walker = _Walker(request, budget)
    level = walker.starts()
    while level:
        below: list[_Place] = []
        for place in level:
            if not budget.take():
                return
            listing = walker.read(place, below)
            if listing is not None:
                yield listing
        # Should a bound be reached, it costs what was written to longest ago.
        level = sorted(below, key=lambda place: (not place.is_named, -place.mtime_ns))


def status_of(path: Path | str) -> os.stat_result | None:
    """What lstat says; None where that is nothing."""
    try:
        return os.lstat(path)
    except (OSError, ValueError):
        return None  # gone meanwhile, or no name at all


def real_path(path: Path) -> Path:
    """Where a path leads, all links followed; itself where it leads nowhere."""
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):
        return path


class _Walker:
    """One walk: which directories it has seen, and what it keeps out of."""

    def __init__(self, request: SearchRequest, budget: Budget) -> None:
        self._request = request
        self._budget = budget
        self._seen: set[tuple[int, int]] = set()
        self._excluded = _resolved(request.excluded)
        self._caches = _resolved(request.caches)
        self._run_dir = real_path(request.run_dir)
        self._above = {
            above
            for path in _resolved(request.working_directories)
            for above in (path, *path.parents)
        }
        self._wide = _WIDE | {real_path(Path(os.environ.get("HOME") or "/root"))}

    def starts(self) -> list[_Place]:
        """Where the walk begins."""
        request = self._request
        parents = tuple(path.parent for path in request.open_files)
        found = []
        for paths, levels, is_named in (
            (request.places, PLACE_LEVELS, True),
            (parents, OPEN_FILE_LEVELS, False),
            (request.working_directories, WORKING_DIRECTORY_LEVELS, False),
        ):
            for path in dict.fromkeys(map(real_path, paths)):
                status = status_of(path)
                if status is None or not stat.S_ISDIR(status.st_mode):
                    continue
                if self._is_never_entered(path) or self._is_in_anothers(path):
                    continue
                lines = (path, *path.parents)
                if not is_named and levels == OPEN_FILE_LEVELS and any(map(self._is_cache, lines)):
                    continue
                is_wide = path in self._wide or path.parent == Path("/home")
                depth = min(levels, _LEVELS_OF_WIDE_PLACES) if is_wide else levels
                found.append(_Place(path, depth, is_named, True, status.st_mtime_ns))
        return sorted(found, key=lambda place: (not place.is_named, -place.levels))

    def read(self, place: _Place, below: list[_Place]) -> Listing | None:
        """One directory; its own go into `below`. None where it may not be looked into."""
        if not self._is_first_time(place.path):
            return None
        names = self._names(place.path)
        if names is None:
            return None
        files, folders = names
        marks = (match["name"] for match in map(_MARK.fullmatch, files) if match is not None)
        owned = {name for name in marks if self._is_anothers(_mark(place.path, name))}
        is_anothers = (_STATE in folders and place.path != self._run_dir) or (
            # The mark is inside where the parent of a directory cannot be written.
            place.path.name in owned and place.path.name not in folders
        )
        if is_anothers or not _SKIPPED_IF_IT_HOLDS.isdisjoint((*files, *folders)):
            return None
        numbered = []
        for name in folders:
            if name.startswith(".") or name in owned:
                continue
            path = place.path / name
            if self._is_numbered_save(place, name):
                numbered.append(name)
            elif place.levels and not self._is_cache(path) and not self._is_never_entered(path):
                status = status_of(path)
                if status is not None:
                    levels = place.levels - 1
                    below.append(_Place(path, levels, place.is_named, False, status.st_mtime_ns))
        shown = tuple(name for name in files if not name.startswith("."))
        return Listing(place.path, shown, tuple(numbered), place.is_named, place.is_start)

    def _names(self, path: Path) -> tuple[list[str], list[str]] | None:
        """The files and the directories of one; links are neither."""
        files: list[str] = []
        folders: list[str] = []
        try:
            with os.scandir(path) as entries:
                for count, entry in enumerate(entries):
                    if count >= MOST_NAMES_OF_ONE:
                        self._budget.is_exceeded = True
                        break
                    if not self._budget.take():
                        break
                    if not entry.is_symlink():
                        kind = folders if entry.is_dir(follow_symlinks=False) else files
                        kind.append(entry.name)
        except OSError:
            return None
        return files, folders

    def _is_numbered_save(self, place: _Place, name: str) -> bool:
        pattern, parent = self._request.pattern, place.path.name
        if parse_name(name, pattern) is not None:
            return save_names.speaks_for_itself(name) or not save_names.is_data_folder(parent)
        is_spoken_for = place.is_named or save_names.has_save_word(parent)
        if not save_names.is_save_folder(name, parent, is_spoken_for=is_spoken_for):
            return False
        # `llama_model_7/` that holds `checkpoint-100/` is no save, but where saves are made.
        try:
            with os.scandir(place.path / name) as entries:
                return not any(
                    parse_name(entry.name, pattern) is not None
                    and entry.is_dir(follow_symlinks=False)
                    for entry in entries
                    if self._budget.take()
                )
        except OSError:
            return False

    def _is_first_time(self, path: Path) -> bool:
        status = status_of(path)
        if status is None:
            return False
        identity = (status.st_dev, status.st_ino)
        is_first = identity not in self._seen
        self._seen.add(identity)
        return is_first

    def _is_never_entered(self, path: Path) -> bool:
        """Whether nothing of this training is there, also where an argument names it."""
        return path in _SYSTEM or any(
            path.is_relative_to(kept_out) for kept_out in (*_KERNEL, *self._excluded)
        )

    def _is_cache(self, path: Path) -> bool:
        return (
            path.name in _SKIPPED_NAMES
            or path.name.startswith(_SKIPPED_STARTS)
            or str(path).endswith(_SKIPPED_TAILS)
            or path in self._caches
        )

    def _is_in_anothers(self, path: Path) -> bool:
        """Whether another run owns a place, or what is above it up to where the trainer works."""
        while path not in self._above and path != path.parent:
            is_run = path != self._run_dir and status_of(path / _STATE) is not None
            if is_run or self._is_anothers(_mark(path.parent, path.name)):
                return True
            path = path.parent
        return False

    def _is_anothers(self, mark: Path) -> bool:
        """Whether a mark is there and does not name this run; one that cannot be read does not."""
        try:
            descriptor = os.open(mark, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except (OSError, ValueError):
            return True
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return True
            owner = json.loads(os.read(descriptor, _MOST_MARK_BYTES))
        except (OSError, ValueError, RecursionError):
            return True
        finally:
            os.close(descriptor)
        return not isinstance(owner, dict) or owner.get("run_id") != self._request.run_id


def _mark(parent: Path, name: str) -> Path:
    return parent / f".{name}.supervised-by"


def _resolved(paths: tuple[Path, ...]) -> frozenset[Path]:
    return frozenset(map(real_path, paths))
