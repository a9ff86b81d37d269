"""Finds folders below a checkpoint directory in which tools make their checkpoints by themselves.

Lightning makes `lightning_logs/version_K/checkpoints/`, ultralytics `runs/detect/train/weights/`.
The walk is bounded, follows no link, and enters no other run's directory and no other mount.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from time import monotonic

from supervisor.checkpoint import owner_mark
from supervisor.checkpoint.formats.name_rule import CheckpointName, compiled, first_match
from supervisor.checkpoint.formats.table import TOOLS
from supervisor.checkpoint.formats.tool_format import ToolFormat
from supervisor.checkpoint.names import is_checkpoint_name
from supervisor.checkpoint.save_words import DATA_FOLDERS, PRODUCT_FOLDERS, words
from supervisor.survey.elsewhere.kept_out import SKIPPED_IF_IT_HOLDS, is_skipped_name

_NESTING = tuple(tool for tool in TOOLS if tool.folder is not None)
# `runs/detect/train/weights`.
_LEVELS = 4
_MOST_FOLDERS = 400
_MOST_NAMES = 20_000
_MOST_NAMES_OF_ONE = 2_000
_STATE = ".supervisor"


def nested_folders(
    directory: Path,
    *,
    run_id: str | None = None,
    pattern: str | None = None,
    most_s: float = float("inf"),
) -> list[Path]:
    """The folders below a directory, the newest first in each level; at most some hundred are read.

    Checkpoints themselves, hidden directories, caches and virtual environments are passed over.
    `run_id`: another run's directories are, too. `most_s`: after this time no further directory is
    read. Raises nothing: what cannot be read is left out.
    """
    found: list[Path] = []
    deadline = monotonic() + most_s
    for more in _steps(directory, run_id, pattern):
        found += more
        if monotonic() > deadline:
            break
    return found


class NestedWalk:
    """The same folders, for a reader that may not wait: each look goes on with the walk.

    On a slow file system a walk takes several looks. What the last whole walk found stays known.
    """

    def __init__(self, directory: Path, run_id: str | None, pattern: str | None) -> None:
        self._of = directory, run_id, pattern
        self._walk = _steps(*self._of)
        self._whole: list[Path] = []
        self._part: list[Path] = []

    def look(self, most_s: float) -> list[Path]:
        """The folders that are known after at most `most_s`, or one folder, more of the walk."""
        deadline = monotonic() + most_s
        while True:
            more = next(self._walk, None)
            if more is None:
                self._whole, self._part, self._walk = self._part, [], _steps(*self._of)
                return self._whole
            self._part += more
            if monotonic() > deadline:
                return list(dict.fromkeys((*self._whole, *self._part)))


def _steps(directory: Path, run_id: str | None, pattern: str | None) -> Iterator[list[Path]]:
    """Read one folder a step; yield what is known by it, which is all of a level at its end."""
    try:
        device = directory.stat().st_dev
    except OSError:
        return
    level, names_left, folders_left = [directory], _MOST_NAMES, _MOST_FOLDERS
    for depth in range(_LEVELS):
        below: list[tuple[int, Path]] = []
        for folder in level:
            if not folders_left or names_left <= 0:
                break
            folders, seen = _folders_in(folder, run_id, names_left, is_top=depth == 0)
            folders_left -= 1
            names_left -= seen
            below += (
                (-status.st_mtime_ns, Path(entry.path))
                for entry in folders
                if not _is_passed_over(entry.name, pattern)
                and (status := _status(entry)) is not None
                and status.st_dev == device
            )
            yield []
        level = [path for _, path in sorted(below)]
        yield [path for path in level if tools_of(path.relative_to(directory))]


def _status(entry: "os.DirEntry[str]") -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except OSError:
        return None  # it is gone


def tools_of(below: Path) -> list[ToolFormat]:
    """The tools that make checkpoints in a folder of this path, relative to the directory."""
    return [tool for tool in _NESTING if compiled(tool.folder or "").fullmatch(str(below))]


def nested_name(name: str, tools: Iterable[ToolFormat]) -> CheckpointName | None:
    """What a name says by the rules of these tools alone; None if it is none of theirs."""
    return next((said for tool in tools if (said := first_match(tool.names, name))), None)


def _is_passed_over(name: str, pattern: str | None) -> bool:
    """Whether a directory's name says that it is a cache, data, results or a checkpoint."""
    if is_skipped_name(name) or is_checkpoint_name(name, pattern, is_directory=True):
        return True
    return not words(name).isdisjoint(DATA_FOLDERS | PRODUCT_FOLDERS)


def _folders_in(
    folder: Path, run_id: str | None, most: int, *, is_top: bool
) -> tuple[list["os.DirEntry[str]"], int]:
    """The directories in a folder that may be entered, and how many names were read."""
    entries: list[os.DirEntry[str]] = []
    try:
        with os.scandir(folder) as listed:
            for entry in listed:
                if len(entries) >= min(most, _MOST_NAMES_OF_ONE):
                    break
                entries.append(entry)
    except OSError:
        return [], 1
    names = {entry.name for entry in entries}
    if not is_top and (_STATE in names or not SKIPPED_IF_IT_HOLDS.isdisjoint(names)):
        return [], len(entries) + 1
    anothers = set(_anothers(folder, names, run_id))
    if not is_top and folder.name in anothers:
        return [], len(entries) + 1
    found = [
        entry
        for entry in entries
        if not entry.name.startswith(".")
        and entry.name not in anothers
        and entry.is_dir(follow_symlinks=False)
    ]
    return found, len(entries) + 1


def _anothers(folder: Path, names: Iterable[str], run_id: str | None) -> Iterator[str]:
    """The names that a mark in the folder gives to another run: of directories, or its own."""
    for name in names:
        if not name.startswith(".") or not name.endswith(owner_mark.SUFFIX):
            continue
        found = owner_mark.read(folder / name)
        if found is not None and (found.mark is None or found.mark.run_id != run_id):
            yield name[1 : -len(owner_mark.SUFFIX)]
