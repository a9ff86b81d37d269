"""Says why a run's record cannot be read, so that the run is not called "never started"."""

import errno
import os
import pwd
from pathlib import Path

from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError
from supervisor.rundir.paths import RunPaths
from supervisor.system.identity import raise_on_shortage

_DENIED = (errno.EACCES, errno.EPERM)
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


def refuse_unreadable(paths: RunPaths) -> None:
    """Refuse a run whose record exists but cannot be read.

    Raises SupervisorError that names the owner or the disk's error. Raises OSError where this
    process has too few descriptors.
    """
    refused = problem(paths)
    if refused is None:
        return
    hint = "ask the owner, or call the command as that account"
    if "not readable for you" not in refused:
        hint = "look at the disk or the mount on which it lies"
    raise SupervisorError(refused, hint=hint, code=ExitCode.CONFIGURATION)


def problem(paths: RunPaths) -> str | None:
    """Why a run's record cannot be read; None where it can be read, or where there is none.

    Raises OSError on a shortage of descriptors, since that says nothing about the run.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        os.close(os.open(paths.state_dir, flags | os.O_DIRECTORY))
    except OSError as error:
        return _sentence(paths.state_dir, error)
    for path in (paths.lock, paths.status, paths.ledger):
        try:
            os.close(os.open(path, flags))
        except OSError as error:
            if (said := _sentence(path, error)) is not None:
                return said
    return None


def _sentence(path: Path, error: OSError) -> str | None:
    raise_on_shortage(error)
    if error.errno in _ABSENT:
        return None
    if error.errno in _DENIED:
        return f"{path}: not readable for you{_owner(path)}"
    return f"{path}: cannot be read: {error.strerror}"


def _owner(path: Path) -> str:
    """`: /data/runs belongs to alice`, for the nearest place that can be seen.

    Empty where that place belongs to the caller.
    """
    for place in (path, *path.parents):
        try:
            uid = place.lstat().st_uid
        except OSError:
            continue
        if uid == os.geteuid():
            return ""
        try:
            return f": {place} belongs to {pwd.getpwuid(uid).pw_name}"
        except KeyError:
            return f": {place} belongs to the account {uid}"
    return ""
