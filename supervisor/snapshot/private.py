"""Directories in shared memory: nobody but their user may enter one, whoever made it again.

`Path.mkdir(parents=True)` gives its mode to the last directory alone (CPython's documentation): a
parent that had vanished would be back for all to read, and refused from then on.
"""

import errno
import os
import stat
from pathlib import Path


def shared_name() -> str:
    """What the one directory of this user is called in `/dev/shm`, which is everybody's."""
    return f"train-supervisor-{os.getuid()}"


def is_ours_alone(folder: Path) -> bool:
    """Whether it is a directory that only this user can enter. Raises OSError."""
    facts = folder.lstat()
    is_ours = facts.st_uid == os.getuid() and not facts.st_mode & 0o077
    return is_ours and stat.S_ISDIR(facts.st_mode)


def make_private(folder: Path) -> None:
    """Make a directory and those above it that are missing, all 0700.

    Raises OSError: PermissionError where somebody else has made this user's place in `/dev/shm`.
    """
    if not folder.is_dir():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
    for place in (folder, *folder.parents):
        if place.name == shared_name() and not is_ours_alone(place):
            raise PermissionError(errno.EACCES, "is not this user's alone", str(place))


def make_below(base: Path, folder: Path) -> None:
    """The same below `base`, which has to be there already. Raises OSError, ValueError."""
    names = folder.relative_to(base).parts
    for count in range(1, len(names) + 1):
        base.joinpath(*names[:count]).mkdir(mode=0o700, exist_ok=True)
