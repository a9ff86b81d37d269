"""Owner marks that a run has moved aside for a moment, to replace them. A kill leaves them there.

A moved mark counts like a mark in its place: the run that it names may be alive.
"""

import contextlib
import os
import re
import stat
import time
from pathlib import Path

from supervisor.system.clock import monotonic_s, wall_s
from supervisor.system.durable import NO_LINKS, fsync_directory

_NAME = re.compile(r"(.+)\.was-\d+-[0-9a-f]{8}")
# A run that moves a mark needs milliseconds. If its mark is put back earlier, it notices.
_MOVER_S = 1.0
_POLL_S = 0.01
_OLD_S = 3600.0


def aside_of(place: Path) -> Path:
    """A free name beside a mark's place, from which `place_of` tells the place."""
    return place.with_name(f"{place.name}.was-{os.getpid()}-{os.urandom(4).hex()}")


def place_of(path: Path) -> Path | None:
    """The place of a mark that was moved; None for any other name."""
    match = _NAME.fullmatch(path.name)
    return None if match is None else path.with_name(match[1])


def moved_from(place: Path) -> list[Path]:
    """The marks that were moved from a place. Never raises."""
    try:
        with os.scandir(place.parent) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(f"{place.name}.was-")]
    except OSError:
        return []
    return [path for name in sorted(names) if place_of(path := place.parent / name) == place]


def put_back(moved: Path) -> None:
    """Put a moved mark back into its place, after waiting a second for the run that moved it.

    If another mark has the place by then, the moved one is removed: the run that moved it would do
    the same. Raises OSError.
    """
    place = place_of(moved)
    assert place is not None
    deadline_s = monotonic_s() + _MOVER_S
    while os.path.lexists(moved) and not os.path.lexists(place) and monotonic_s() < deadline_s:
        time.sleep(_POLL_S)
    restore(moved, place)


def restore(moved: Path, place: Path) -> None:
    """Put a moved mark back at once, unless another has the place. Raises OSError."""
    try:
        os.link(moved, place, follow_symlinks=False)
    except (FileExistsError, FileNotFoundError):
        pass
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        # No hard links on this file system, or a directory was in the mark's place.
        if not os.path.lexists(place):
            with contextlib.suppress(FileNotFoundError):
                moved.rename(place)
    fsync_directory(place.parent)
    drop(moved)


def drop(moved: Path) -> None:
    """Remove a moved mark that is needed no more. One that cannot be removed stays."""
    with contextlib.suppress(OSError):
        if stat.S_ISDIR(moved.lstat().st_mode):
            moved.rmdir()
        else:
            moved.unlink()


def drop_old(place: Path) -> None:
    """Remove moved marks older than an hour: a run was killed after it had made the new mark."""
    for moved in moved_from(place):
        with contextlib.suppress(OSError):
            if wall_s() - moved.lstat().st_ctime > _OLD_S:
                drop(moved)
