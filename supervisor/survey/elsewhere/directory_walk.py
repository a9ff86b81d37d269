"""Which directories a search looks into: bounded, breadth first, and never into another run's.

It follows the links that the request names. In a named or working directory it also follows links
called `checkpoints` or the like. The only files that it opens are owner marks. It passes over what
it may not read.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from supervisor.checkpoint import save_names
from supervisor.checkpoint.names import MARKS, parse_by_pattern, parse_marked, parse_name
from supervisor.checkpoint.save_names import NamePlace
from supervisor.checkpoint.save_words import CERTAIN_WORDS, has
from supervisor.survey.elsewhere.kept_out import (
    SKIPPED_IF_IT_HOLDS,
    KeptOut,
    is_never_entered,
    real_path,
    status_of,
)
from supervisor.survey.elsewhere.records import SearchRequest
from supervisor.system.mounts import remote_mount_points

PLACE_LEVELS = 6
WORKING_DIRECTORY_LEVELS = 5
OPEN_FILE_LEVELS = 1
# A home, or a directory that all users share, is full of other files.
_LEVELS_OF_WIDE_PLACES = 2
MOST_NAMES = 50_000
MOST_NAMES_OF_ONE = 20_000
MOST_SECONDS = 2.0

# If a project's own directory is a virtual environment, these belong to the environment.
_OF_ENVIRONMENTS = frozenset({"bin", "include", "lib", "lib64", "conda-meta", "pkgs"})
# Users whose working directory is small often make the saves' directory a link to a larger disk.
_LINKED = frozenset({"out", "output", "outputs", "runs", "results", "save", "saves", "saved"})


class WalkBudget:
    """How much may still be read; `is_exceeded` once a bound has cut the search short."""

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

    def has_time(self) -> bool:
        """Whether time is left for work on names that `take` has counted already."""
        if monotonic() > self._deadline:
            self.is_exceeded = True
        return not self.is_exceeded


class Listing(NamedTuple):
    """One directory with the names of its files.

    `numbered`: the names of its directories that are numbered saves. `is_start`: the walk began
    here. `place`: what `save_names` needs to judge the names.
    """

    path: Path
    files: tuple[str, ...]
    numbered: tuple[str, ...]
    is_start: bool
    place: NamePlace


class _Directory(NamedTuple):
    path: Path
    levels: int
    is_start: bool
    mtime_ns: int
    place: NamePlace


def walk(request: SearchRequest, budget: WalkBudget) -> Iterator[Listing]:
    """The directories to look at, level by level.

    In each level the directories that an argument names, and those below them, come first. After
    the first level the newest come first among the others, and among these.
    """
    walker = _Walker(request, budget)
    level = walker.starts()
    while level:
        below: list[_Directory] = []
        for directory in level:
            if not budget.take():
                return
            listing = walker.read(directory, below)
            if listing is not None:
                yield listing
        # A bound that is reached then costs the directories that were written to longest ago.
        level = sorted(below, key=lambda one: (not one.place.is_named, -one.mtime_ns))


class _Walker:
    """One walk; it remembers which directories it has seen."""

    def __init__(self, request: SearchRequest, budget: WalkBudget) -> None:
        self._request = request
        self._budget = budget
        self._seen: set[tuple[int, int]] = set()
        self._kept_out = KeptOut(request)
        # A trainer seldom saves into such a mount below its working directory, and a dead one never
        # answers. The search enters it only where an argument names it.
        self._remote = remote_mount_points()

    def starts(self) -> list[_Directory]:
        """The directories at which the walk begins."""
        request, kept_out = self._request, self._kept_out
        parents = tuple(path.parent for path in request.open_files)
        found = []
        for paths, levels, is_named, is_told in (
            (request.places, PLACE_LEVELS, True, True),
            (parents, OPEN_FILE_LEVELS, False, False),
            (request.working_directories, WORKING_DIRECTORY_LEVELS, False, True),
        ):
            for path in dict.fromkeys(map(real_path, paths)):
                status = status_of(path)
                if status is None or not stat.S_ISDIR(status.st_mode):
                    continue
                if is_never_entered(path) or kept_out.is_in_anothers(path):
                    continue
                if not is_told and any(map(kept_out.is_cache, (path, *path.parents))):
                    continue
                depth = min(levels, _LEVELS_OF_WIDE_PLACES) if kept_out.is_wide(path) else levels
                place = NamePlace(path.name, "", is_named, is_told)
                found.append(_Directory(path, depth, True, status.st_mtime_ns, place))
        return sorted(found, key=lambda one: (not one.place.is_named, -one.levels))

    def read(self, directory: _Directory, below: list[_Directory]) -> Listing | None:
        """List one directory, and add its directories to `below`.

        None if it was read before, cannot be read, or is kept out.
        """
        path, place = directory.path, directory.place
        identity = self._first_time(path)
        names = None if identity is None else self._names(directory)
        if identity is None or names is None:
            return None
        files, folders, links = names
        owned, is_anothers = self._kept_out.owned_in(path, identity[1], files, folders)
        is_environment = not SKIPPED_IF_IT_HOLDS.isdisjoint((*files, *folders))
        if is_anothers or (is_environment and not directory.is_start):
            return None
        numbered = []
        for name in folders:
            if name.startswith(".") or name in owned or not self._budget.has_time():
                continue
            if (is_environment and name in _OF_ENVIRONMENTS) or path / name in self._remote:
                continue
            if self._is_numbered_save(path / name, place):
                numbered.append(name)
            elif directory.levels:
                self._enter(path / name, name, directory, below)
        for name in links:
            self._follow(path / name, directory, below)
        shown = tuple(name for name in files if not name.startswith("."))
        return Listing(path, shown, tuple(numbered), directory.is_start, place)

    def _enter(self, path: Path, folder: str, outer: _Directory, below: list[_Directory]) -> None:
        status = status_of(path)
        if status is None or self._kept_out.is_cache(path) or is_never_entered(path):
            return
        above = "" if outer.place.is_told else f"{outer.place.above}/{outer.place.folder}"
        levels = outer.levels - 1
        if self._kept_out.is_wide(path):
            levels = min(levels, _LEVELS_OF_WIDE_PLACES)
        place = NamePlace(folder, above, outer.place.is_named, False)
        below.append(_Directory(path, levels, False, status.st_mtime_ns, place))

    def _follow(self, link: Path, outer: _Directory, below: list[_Directory]) -> None:
        """Enter the user's own directory that a link like `checkpoints` leads to."""
        path = real_path(link)
        status = status_of(path)
        if status is None or not stat.S_ISDIR(status.st_mode):
            return
        is_ours = status.st_uid == self._request.uid and not self._kept_out.is_in_anothers(path)
        if is_ours and not any(map(self._kept_out.is_cache, (path, *path.parents))):
            # The trainer's name for the directory, the link's, tells what it is for.
            self._enter(path, link.name, outer, below)

    def _names(self, directory: _Directory) -> tuple[list[str], list[str], list[str]] | None:
        """Names of its files, of its directories, and of the links to follow; no other links."""
        files: list[str] = []
        folders: list[str] = []
        links: list[str] = []
        try:
            with os.scandir(directory.path) as entries:
                for count, entry in enumerate(entries):
                    if count >= MOST_NAMES_OF_ONE:
                        self._budget.is_exceeded = True
                        break
                    if not self._budget.take():
                        break
                    if not entry.is_symlink():
                        kind = folders if entry.is_dir(follow_symlinks=False) else files
                        kind.append(entry.name)
                    elif directory.is_start and directory.place.is_told and _is_linked(entry.name):
                        links.append(entry.name)
        except OSError:
            return None
        return files, folders, links

    def _is_numbered_save(self, path: Path, place: NamePlace) -> bool:
        pattern, name = self._request.pattern, path.name
        is_users = pattern is not None and parse_by_pattern(name, pattern) is not None
        if is_users and (save_names.speaks_for_itself(name) or place.takes(is_known=True)):
            return True
        if not save_names.is_numbered_folder(name, place, is_enough=place.is_named):
            return name.isdecimal() and any(
                parse_marked(name, (mark,)) is not None and status_of(path / mark) is not None
                for mark in MARKS
            )
        if parse_name(name) is not None:
            return True
        # A `llama_model_7/` that holds `checkpoint-100/` is a directory for saves, and no save.
        try:
            with os.scandir(path) as entries:
                return not any(
                    parse_name(entry.name, pattern) is not None
                    and entry.is_dir(follow_symlinks=False)
                    for entry in entries
                    if self._budget.take()
                )
        except OSError:
            return False

    def _first_time(self, path: Path) -> tuple[int, int] | None:
        """The directory's device and inode; None if it was read before or is gone."""
        status = status_of(path)
        if status is None or (status.st_dev, status.st_ino) in self._seen:
            return None
        self._seen.add((status.st_dev, status.st_ino))
        return status.st_dev, status.st_ino


def _is_linked(name: str) -> bool:
    return name.lower() in _LINKED or has(name, CERTAIN_WORDS)
