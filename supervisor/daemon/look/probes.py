"""Probes whether the cause of a wait is gone: a full disk, a lost mount or file system.

A probe leaves nothing changed.
"""

import os
from pathlib import Path

from supervisor.core.events import Probed
from supervisor.core.vocabulary import Failure
from supervisor.daemon.look.free_space import look_for_room
from supervisor.system.mounts import mount_points

MARGIN = 1.2
LEAST_FREE_BYTES = 16 << 20
# A failed write may name a file in a directory that was not made yet. So many of its parents are
# tried.
_MISSING_PARTS_MOST = 2


def probe(
    cause: Failure,
    *,
    directory: Path,
    checkpoint_bytes: int,
    mount: str | None = None,
    files: int = 1,
    place: Path | None = None,
    name: str = "run",
) -> Probed:
    """Look once at the cause. If a disk does not answer, the call blocks.

    So `prober.py` has a child process call it.

    `checkpoint_bytes`, `files`: the highest of any known checkpoint. `mount`: the mount point that
    held the missing checkpoints. `place`: where a write found no room, if not in `directory`.
    `name` tells this run's probes from others.
    """
    match cause:
        case Failure.CHECKPOINTS_MISSING if mount is not None:
            is_there = Path(mount) in (mount_points() or ())
            return Probed(clear=is_there, what=f"{mount} is {'' if is_there else 'not '}mounted")
        case Failure.CHECKPOINTS_MISSING:
            # Another daemon began the wait, so the mount is not known here: the next survey looks.
            return Probed(clear=True, what="the next look at the checkpoints decides")
        case Failure.DISK_FULL:
            concerned = _concerned(place, directory)
            try:
                return _room(concerned, directory, checkpoint_bytes, files, name)
            except OSError as error:
                return Probed(clear=False, what=f"{concerned}: {error.strerror}")
        case _:
            return _directory(directory)


def needed_bytes(checkpoint_bytes: int, total_bytes: int) -> int:
    """How much must be free before a save can be hoped for.

    The size of a checkpoint and a fifth more. If no checkpoint is known: 16 MiB, or a quarter of a
    file system that is small.
    """
    if checkpoint_bytes:
        return int(checkpoint_bytes * MARGIN)
    return min(LEAST_FREE_BYTES, total_bytes // 4)


def _room(place: Path, directory: Path, checkpoint_bytes: int, files: int, name: str) -> Probed:
    facts = os.statvfs(place)
    holds_checkpoints = place.stat().st_dev == _existing(directory).stat().st_dev
    # If the failed write was on another disk than the checkpoints, no checkpoint has to fit there.
    size, count = (checkpoint_bytes, files) if holds_checkpoints else (0, 1)
    needed = needed_bytes(size, facts.f_blocks * facts.f_frsize)
    found = look_for_room(place, needed_bytes=needed, files=count, name=name)
    return Probed(clear=found.is_there, what=found.what)


def _concerned(place: Path | None, directory: Path) -> Path:
    """The directory that the failed write named, else the checkpoint directory."""
    if place is not None:
        for near in (place, *place.parents[:_MISSING_PARTS_MOST]):
            if near.is_dir():
                return near
    return _existing(directory)


def _directory(directory: Path) -> Probed:
    place = _existing(directory)
    try:
        next(place.iterdir(), None)
    except OSError as error:
        return Probed(clear=False, what=f"{place}: {error.strerror}")
    return Probed(clear=True, what=f"{place} can be read again")


def _existing(path: Path) -> Path:
    while not path.is_dir() and path != path.parent:
        path = path.parent
    return path
