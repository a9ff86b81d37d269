"""Checkpoints that a run has on record and its directory does not show.

It says in a sentence which they are, since when they are on record, and where they may be. The
core decides whether to wait for them or to hold.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from supervisor.checkpoint.records import CheckpointEntry, Known, Missing
from supervisor.core.vocabulary import Tier
from supervisor.survey.places import place_of
from supervisor.survey.request import SurveyRequest
from supervisor.system.mounts import mount_points

_SHOWN = 3


def find_missing(request: SurveyRequest, entries: Sequence[CheckpointEntry]) -> Missing | None:
    """What is missing; None if all are there, or if another checkpoint can be resumed from.

    `entries`: all checkpoints that a survey found, those set aside included.
    """
    there = [e for e in entries if e.tier == Tier.DISK and e.candidate and e.finite is not False]
    # While a trainer may still write, a checkpoint too young for a verdict counts as resumable.
    if any(e.valid or (e.valid is None and not request.quiet) for e in there):
        return None
    taken = _taken(request, entries)
    paths = {str(entry.path) for entry in entries} - taken.keys()
    prints = {entry.fingerprint for entry in entries}
    lost = [k for k in request.known if k.path not in paths and k.fingerprint not in prints]
    if not lost:
        return None
    lost.sort(key=lambda known: (known.step if known.step is not None else -1, known.seen))
    lost.reverse()
    unmounted = _unmounted(request, lost)
    over = taken.get(lost[0].path)
    where = _where(request, lost) if over is None else _over(lost[0], over)
    sentence = f"{_which(lost)} {'is' if len(lost) == 1 else 'are'} missing: {where}"
    return Missing(sentence, tuple(known.path for known in lost), unmounted)


def _taken(request: SurveyRequest, entries: Sequence[CheckpointEntry]) -> dict[str, str]:
    """The checkpoints that another run has written over, with that run's directory."""
    found = {
        str(entry.path): request.writers.other_of(entry.path, entry.mtime)
        for entry in entries
        if entry.tier == Tier.DISK and not entry.own_run and not entry.candidate
    }
    return {path: other for path, other in found.items() if other is not None}


def _over(first: Known, other: str) -> str:
    seen = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(first.seen))
    return f"the run in {other} has written over {first.path} (on record since {seen})"


def _which(lost: Sequence[Known]) -> str:
    names = [
        Path(known.path).name + (f" (step {known.step})" if known.step is not None else "")
        for known in lost[:_SHOWN]
    ]
    more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
    kind = "checkpoint" if len(lost) == 1 else "checkpoints"
    return f"this run's {kind} {', '.join(names)}{more}"


def _where(request: SurveyRequest, lost: Sequence[Known]) -> str:
    """What is in the first one's place now, and where the checkpoints can be found."""
    first, folder = lost[0], Path(lost[0].path).parent
    directory = place_of(request, folder)
    seen = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(first.seen))
    last = f"on record since {seen}"
    if Path(first.path).is_symlink():
        target = os.path.realpath(first.path)
        there = "" if os.path.lexists(target) else ", which does not exist"
        return (
            f"{first.path} ({last}) is a link to {target}{there}; links are not followed,"
            f" so write `checkpoints: {{directory: {Path(target).parent}}}`"
        )
    if not _is_in(folder, directory):
        if os.path.lexists(first.path):
            return (
                f"they were saved in {folder} ({last}) and are there, but the supervisor now looks"
                f" into {directory}: start the run in the directory where it was started"
                " before, or correct `checkpoints.directory`"
            )
        return (
            f"they were saved in {folder} ({last}), but the supervisor now looks into"
            f" {directory}, and neither directory holds them"
        )
    if os.path.lexists(first.path):
        return (
            f"{first.path} is there ({last}), but by its name it is no checkpoint now; write"
            " `checkpoints: {pattern: ...}`"
        )
    if not directory.exists():
        return f"{directory} does not exist ({last})"
    is_empty = next(directory.iterdir(), None) is None
    them = "it" if len(lost) == 1 else "them"
    return f"{directory} {'is empty' if is_empty else f'does not hold {them}'} ({last})"


def _is_in(folder: Path, directory: Path) -> bool:
    """Whether a folder is the directory, or one that a tool may have made below it."""
    if folder.is_relative_to(directory):
        return True
    return Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(directory))


def _unmounted(request: SurveyRequest, lost: Sequence[Known]) -> str | None:
    """The mount point that held them, if nothing is mounted on it now."""
    return None if os.path.lexists(lost[0].path) else _bare(request.mount)


def find_unmounted(request: SurveyRequest, directory: Path) -> str | None:
    """The mount point on record that holds a directory, if nothing is mounted on it now.

    It may hold checkpoints all the same, below the mount point.
    """
    mount = _bare(request.mount)
    is_below = mount is not None and Path(os.path.realpath(directory)).is_relative_to(mount)
    return mount if is_below else None


def _bare(mount: str | None) -> str | None:
    if mount is None or mount == "/":
        return None
    points = mount_points()
    return mount if points and Path(mount) not in points else None
