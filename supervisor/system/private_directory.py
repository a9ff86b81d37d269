"""Directories in shared memory that only their user may enter, also after they are made again.

`Path.mkdir(parents=True)` gives its mode to the last directory alone (CPython's documentation). A
parent that had vanished would come back readable for all, and be refused from then on.
"""

import errno
import os
import stat
from pathlib import Path


def shared_name() -> str:
    """The name of this user's one directory in `/dev/shm`, which all users share."""
    return f"train-supervisor-{os.getuid()}"


# Rights on a directory that others must not have. ACL entries are covered, too: the ACL's mask
# bounds them, and stat(2) shows the mask in the place of the group's rights (acl(5)).
_ENTRY = 0o077
_WRITING = 0o022


def is_ours_alone(folder: Path) -> bool:
    """Whether only this user can enter it: asked before anything secret (weights) is put there.

    Raises OSError.
    """
    return _is_closed(folder, _ENTRY)


def is_believable(*folders: Path) -> bool:
    """Whether only this user can have put anything into each of these directories.

    Asked before files that are there already are read or removed. Others may be able to read them.
    """
    try:
        return all(_is_closed(folder, _WRITING) for folder in folders)
    except OSError:
        return False


def _is_closed(folder: Path, rights: int) -> bool:
    """Whether it is a directory of this user, no link, on which others have none of `rights`."""
    facts = folder.lstat()
    is_ours = stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid()
    return is_ours and not facts.st_mode & rights


def make_private(folder: Path) -> None:
    """Make a directory and those above it that are missing, all 0700.

    Raises OSError: PermissionError where another user has made this user's place in `/dev/shm`.
    """
    if not folder.is_dir():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
    for place in (folder, *folder.parents):
        if place.name == shared_name() and not is_ours_alone(place):
            raise PermissionError(errno.EACCES, "is not this user's alone", str(place))


def make_below(base: Path, folder: Path) -> None:
    """Make `folder` and those between it and `base`, all 0700; `base` has to be there already.

    Raises OSError, and ValueError where `folder` is not below `base`.
    """
    names = folder.relative_to(base).parts
    for count in range(1, len(names) + 1):
        base.joinpath(*names[:count]).mkdir(mode=0o700, exist_ok=True)
