"""The directories that a survey looks into: the run's own, and those that its trainers named.

What was in a named directory before the run is never a candidate, whatever `resume.existing` says:
the trainer had begun beside it before the supervisor knew the directory.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from supervisor.checkpoint.best import mark_best
from supervisor.checkpoint.records import CheckpointEntry
from supervisor.checkpoint.validate import is_resumable
from supervisor.core.vocabulary import Tier
from supervisor.survey.request import SurveyRequest

ReadOne = Callable[[SurveyRequest], list[CheckpointEntry]]


def read_places(request: SurveyRequest, read: ReadOne) -> list[list[CheckpointEntry]]:
    """The checkpoints of each directory, each newest first; the directory that counts first leads.

    `read` lists and proves the checkpoints of one directory. The run's own directory leads only if
    the run can resume from a checkpoint of its own there. Raises OSError, but not for a directory
    that was named earlier: what is on record and not seen counts as missing.
    """
    own = read(request)
    named = [_named(request, place, index, read) for index, place in enumerate(_others(request))]
    # The walk below the run's own directory may have found what lies in a named one.
    seen = {os.path.realpath(one.path) for group in named for one in group}
    own = [one for one in own if os.path.realpath(one.path) not in seen]
    # A folder below it that no trainer named does not lead: it may be an earlier stage's.
    leads = any(
        one.own_run and one.candidate and is_resumable(one) and one.path.parent == request.directory
        for one in own
    )
    return [own, *named] if leads or not named else [*named, own]


def joined(
    request: SurveyRequest,
    groups: Sequence[list[CheckpointEntry]],
    shelved: Sequence[CheckpointEntry],
) -> list[CheckpointEntry]:
    """The checkpoints of all directories, with their best ones marked.

    `shelved`: those set aside, whose records may call one the best.
    """
    bests = frozenset(map(os.path.realpath, request.bests))
    found: list[CheckpointEntry] = []
    for group in groups:
        found += _with_best(mark_best([*group, *shelved])[: len(group)], bests)
    return found


def newest_place(request: SurveyRequest, entries: Sequence[CheckpointEntry]) -> Path:
    """The directory of the newest checkpoint on the disk; without one, the directory to look at."""
    others = _others(request)
    first = Path(others[0]) if others else request.directory
    return next((one.path.parent for one in entries if one.tier == Tier.DISK), first)


def place_of(request: SurveyRequest, folder: Path) -> Path:
    """The surveyed directory that `folder` is; the run's own directory if it is none of them."""
    real = os.path.realpath(folder)
    places = (request.directory, *map(Path, request.described))
    return next((one for one in places if os.path.realpath(one) == real), request.directory)


def _others(request: SurveyRequest) -> list[str]:
    """The named directories without the run's own, each once."""
    own = os.path.realpath(request.directory)
    real = {os.path.realpath(place): place for place in reversed(request.described)}
    return [place for one, place in reversed(real.items()) if one != own]


def _named(request: SurveyRequest, place: str, index: int, read: ReadOne) -> list[CheckpointEntry]:
    try:
        return read(replace(request, directory=Path(place), existing="ignore"))
    except OSError as error:
        if index:
            return []
        raise OSError(error.errno, f"{error.strerror} ({place})") from error


def _with_best(entries: list[CheckpointEntry], bests: frozenset[str]) -> list[CheckpointEntry]:
    if not bests:
        return entries
    return [
        replace(one, best=True) if os.path.realpath(one.path) in bests else one for one in entries
    ]
