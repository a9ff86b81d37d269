"""Whether what a run waits for is there again. Each probe is quick and changes nothing lasting."""

import os
from pathlib import Path

from supervisor.core import causes
from supervisor.core.events import Probed
from supervisor.filesystem import mount_points

MARGIN = 1.2
LEAST_FREE_BYTES = 16 << 20


def probe(
    cause: str, *, directory: Path, checkpoint_bytes: int, mount: str | None = None
) -> Probed:
    """Look once. `checkpoint_bytes`: the size of the largest known checkpoint.

    `mount`: the mount point that held the checkpoints, where they are missing.
    """
    match cause:
        case causes.MISSING if mount is not None:
            is_there = Path(mount) in (mount_points() or ())
            return Probed(clear=is_there, what=f"{mount} is {'' if is_there else 'not '}mounted")
        case causes.MISSING:  # another daemon began the wait: the survey knows the mount
            return Probed(clear=True, what="the checkpoints are looked at again")
        case "disk_full":
            return _disk(directory, checkpoint_bytes)
        case _:
            return _directory(directory)


def needed_bytes(checkpoint_bytes: int, total_bytes: int) -> int:
    """How much must be free before a save can be hoped for.

    A checkpoint and a fifth more; on a small file system at most a quarter of it is asked for
    where no checkpoint tells its size.
    """
    if checkpoint_bytes:
        return int(checkpoint_bytes * MARGIN)
    return min(LEAST_FREE_BYTES, total_bytes // 4)


def _disk(directory: Path, checkpoint_bytes: int) -> Probed:
    place = _existing(directory)
    try:
        facts = os.statvfs(place)
    except OSError as error:
        return Probed(clear=False, what=f"{place}: {error.strerror}")
    free = facts.f_bavail * facts.f_frsize
    needed = needed_bytes(checkpoint_bytes, facts.f_blocks * facts.f_frsize)
    what = f"{free / 1e6:.1f} MB free on the checkpoints' disk, {needed / 1e6:.1f} MB needed"
    return Probed(clear=free >= needed, what=what)


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
