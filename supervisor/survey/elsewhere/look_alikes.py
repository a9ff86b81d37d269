"""The files and directories in one directory that look like saves, by name, owner and size.

It opens no file.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from supervisor.checkpoint import save_names
from supervisor.checkpoint.names import MARKS, parse_by_pattern, parse_name
from supervisor.checkpoint.save_names import NameClaim
from supervisor.checkpoint.save_numbers import all_numbers, counts, series_key
from supervisor.survey.elsewhere.directory_walk import Listing, WalkBudget
from supervisor.survey.elsewhere.kept_out import status_of
from supervisor.survey.elsewhere.records import SearchRequest

_MOST_FILES = 2_000
_FOLDERS_LOOKED_INTO = 8
_CONTENT_LEVELS = 3
_CONTENT_NAMES = 500


class LookAlike(NamedTuple):
    """One file, or one directory with the newest time of its files and the sum of their sizes.

    `key`: what all names of its series share. `is_sure`: with a number in its name it is a save
    even alone. `is_marked`: orbax's mark in it says that it is a save.
    """

    name: str
    key: str
    path: str
    inode: int
    size: int
    mtime_ns: int
    is_directory: bool
    is_sure: bool
    is_marked: bool


def look_alikes(
    request: SearchRequest, listing: Listing, budget: WalkBudget
) -> Iterator[LookAlike]:
    """The possible saves of this user in one directory, of any age."""
    for name, is_sure in _files(request, listing, budget):
        if not budget.take():
            return
        path = f"{listing.path}/{name}"
        status = status_of(path)
        if status is not None and _is_of_the_user(request, status):
            key = series_key(name)
            inode, size, mtime_ns = status.st_ino, status.st_size, status.st_mtime_ns
            yield LookAlike(name, key, path, inode, size, mtime_ns, False, is_sure, False)
    for name in _newest_folders(listing, budget):
        found = _read_folder(request, listing, name, budget)
        if found is not None:
            yield found


def _files(request: SearchRequest, listing: Listing, budget: WalkBudget) -> list[tuple[str, bool]]:
    """Names, each with whether it is sure alone; of too many, those with the highest numbers."""
    found = []
    for name in listing.files:
        if not budget.has_time():
            break
        # A `.bin` that is written while a model is trained is more often weights than data.
        is_enough = request.steps_seen and (listing.place.is_named or name.endswith(".bin"))
        claim = NameClaim.SAVE
        if not _is_the_users(request, name):
            claim = save_names.claim_of_file(name, listing.place, is_enough=is_enough)
        if claim is not NameClaim.NOTHING:
            found.append((name, claim is NameClaim.SAVE))
    if len(found) > _MOST_FILES:
        found.sort(key=lambda one: all_numbers(one[0]), reverse=True)
    return found[:_MOST_FILES]


def _is_the_users(request: SearchRequest, name: str) -> bool:
    """Whether it is a checkpoint's name by the user's own pattern alone."""
    pattern = request.pattern
    return pattern is not None and (
        parse_by_pattern(name, pattern) is not None and parse_name(name) is None
    )


def _is_of_the_user(request: SearchRequest, status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_uid == request.uid and status.st_size > 0


def _newest_folders(listing: Listing, budget: WalkBudget) -> Iterable[str]:
    """Of the numbered directories those with the highest numbers, and those that changed last."""
    by_number = sorted(listing.numbered, key=counts, reverse=True)
    if len(by_number) <= 2 * _FOLDERS_LOOKED_INTO:
        return by_number
    names = (name for name in by_number[:_MOST_FILES] if budget.has_time())
    times = {name: _mtime_ns(listing.path / name) for name in names}
    by_time = sorted(times, key=times.__getitem__, reverse=True)
    chosen = [*by_number[:_FOLDERS_LOOKED_INTO], *by_time[:_FOLDERS_LOOKED_INTO]]
    return dict.fromkeys(chosen)


def _mtime_ns(path: Path) -> int:
    status = status_of(path)
    return 0 if status is None else status.st_mtime_ns


def _read_folder(
    request: SearchRequest, listing: Listing, name: str, budget: WalkBudget
) -> LookAlike | None:
    """A directory as one save; None if it holds no file of this user, or no state."""
    path = f"{listing.path}/{name}"
    top = status_of(path)
    if top is None:
        return None
    newest = size = names = 0
    is_marked = any(status_of(f"{path}/{mark}") is not None for mark in MARKS)
    # An evaluation calls its directories after the checkpoints: `eval/checkpoint-10/preds.json`.
    is_told = save_names.speaks_for_itself(name) and not listing.place.may_be_of_products()
    claims = {NameClaim.SAVE} if is_marked or is_told else set()
    level = [path]
    for _ in range(_CONTENT_LEVELS):
        below: list[str] = []
        for entry in (entry for folder in level for entry in _entries(folder)):
            names += 1
            if names > _CONTENT_NAMES or not budget.take():
                break
            status = status_of(entry)
            if status is not None and stat.S_ISDIR(status.st_mode):
                below.append(entry)
            elif status is not None and _is_of_the_user(request, status):
                newest, size = max(newest, status.st_mtime_ns), size + status.st_size
                claims.add(save_names.claim_of_content(entry.rpartition("/")[2]))
        level = below
    if not newest or claims <= {NameClaim.NOTHING}:
        return None
    is_sure, key = NameClaim.SAVE in claims, series_key(name)
    return LookAlike(name, key, path, top.st_ino, size, newest, True, is_sure, is_marked)


def _entries(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry, _ in zip(entries, range(_CONTENT_NAMES), strict=False)]
    except OSError:
        return []  # it is gone meanwhile, or we may not read it
