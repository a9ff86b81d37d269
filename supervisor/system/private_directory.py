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


# What others must not have of a directory. stat(2) shows the rights of ACL entries too: they end at
# the mask, which stands where the group's rights stand (acl(5)).
_ENTRY = 0o077
_WRITING = 0o022


def is_ours_alone(folder: Path) -> bool:
    """Whether only this user can enter it: asked before anything secret (weights) is put there.

    Raises OSError.
    """
    return _is_closed(folder, _ENTRY)


def is_believable(*folders: Path) -> bool:
    """Whether only this user can have laid what is in each of these directories.

    Asked before what is there already is read or removed: that others may look is no lie.
    """
    try:
        return all(_is_closed(folder, _WRITING) for folder in folders)
    except OSError:
        return False


def _is_closed(folder: Path, rights: int) -> bool:
    """Whether it is a directory of this user's, no link to one, on which no other has any."""
    facts = folder.lstat()
    is_ours = stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid()
    return is_ours and not facts.st_mode & rights


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
