"""Checkpoints put aside: out of the trainers' sight, with the reason, never deleted here."""

import contextlib
import errno
import os
from pathlib import Path

from supervisor.checkpoint.names import SET_ASIDE
from supervisor.durable import fsync_directory, rename_durably

INVALID = "invalid"
SUPERSEDED = "superseded"
REASON_SUFFIX = ".reason.txt"
_MOST_OF_A_NAME = 10_000
_MOST_REASON_BYTES = 64 << 10


def put_aside(source: Path, shelf: str, reason: str, *, name: str | None = None) -> Path:
    """Move a checkpoint onto a shelf of its directory, durably; returns where it is now.

    `name`: what it is called there, if not as here. A taken name gets a number. A kill between any
    two calls leaves the checkpoint in one of the two places, whole. Raises OSError,
    FileNotFoundError if the checkpoint is gone.
    """
    source.lstat()
    folder = source.parent / SET_ASIDE / shelf
    target: Path | None = None
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            fsync_directory(folder.parent)
            fsync_directory(source.parent)
        target = _reserve(folder, name or source.name)
        _write_reason(target, reason)
        rename_durably(source, target)
    except BaseException:
        if target is not None:
            if os.path.lexists(target) and not os.path.lexists(source):
                target.rename(source)
            _reason_path(target).unlink(missing_ok=True)
        _remove_if_empty(folder)
        raise
    return target


def put_back(place: Path, target: Path) -> None:
    """Undo `put_aside`. Raises OSError."""
    rename_durably(place, target)
    _reason_path(place).unlink(missing_ok=True)
    _remove_if_empty(place.parent)


def read_reason(place: Path) -> str | None:
    """Why something stands on a shelf; None if its reason file is not there."""
    try:
        # A pipe of that name must not hang whoever lists the shelf.
        fd = os.open(_reason_path(place), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        return os.read(fd, _MOST_REASON_BYTES).decode(errors="replace").strip()
    except OSError:  # a directory of that name, or an empty pipe
        return None
    finally:
        os.close(fd)


def _reserve(folder: Path, name: str) -> Path:
    """Claim a free name by creating its reason file: rename(2) would replace a file silently."""
    for number in range(1, _MOST_OF_A_NAME):
        target = folder / (name if number == 1 else f"{name}.{number}")
        if os.path.lexists(target):
            continue
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            os.close(os.open(_reason_path(target), flags, 0o644))
        except FileExistsError:
            continue
        return target
    raise FileExistsError(errno.EEXIST, "too many of this name were set aside", str(folder / name))


def _write_reason(target: Path, reason: str) -> None:
    fd = os.open(_reason_path(target), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, f"{reason}\n".encode())
        os.fsync(fd)
    except OSError as error:
        # A full disk is no reason to leave a bad checkpoint where it is found; the ledger has
        # the reason too.
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
    finally:
        os.close(fd)


def _remove_if_empty(folder: Path) -> None:
    for one in (folder, folder.parent):
        with contextlib.suppress(OSError):  # not there, or not empty: others stand there
            one.rmdir()


def _reason_path(place: Path) -> Path:
    return place.with_name(place.name + REASON_SUFFIX)
