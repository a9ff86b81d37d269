"""Whether a directory has room for a checkpoint: the room is taken and given back at once.

Free bytes are no proof: neither a quota nor a lack of inodes shows in them. The probe runs in a
child process (`prober.py`). It writes only hidden files with this run's name, and removes them.
"""

import ctypes
import errno
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from supervisor.system.mounts import filesystem_type

PREFIX = ".supervisor-probe-"
# A tenth of the free room is left to others meanwhile.
MOST_OF_FREE = 0.9
WRITTEN_BYTES = 64 << 20
MOST_FILES = 4096
# Taken in pieces, for 20 s at most: a slow file system is not waited for to the end.
_PIECE_BYTES = 1 << 30
_TAKING_S = 20.0
_WRITE_BYTES = 1 << 20
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# Errors of fallocate(2) where the file system lacks it, or allows no file of that size.
_NOT_GIVEN = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EFBIG, errno.EINVAL})
# Room here is the machine's memory: none is taken, and the counted room is believed.
_IN_MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs"})


@dataclass(frozen=True, slots=True)
class DiskRoom:
    """What was found: whether there is room, and the sentence that says so."""

    is_there: bool
    what: str


def look_for_room(place: Path, *, needed_bytes: int, files: int, name: str) -> DiskRoom:
    """Whether `place`, an existing directory, has room for so many bytes in so many files.

    `name` tells this run's probes from others. Raises OSError where `place` cannot be looked at.
    """
    shutil.rmtree(place / f"{PREFIX}{name}", ignore_errors=True)  # left by a probe that was killed
    facts = os.statvfs(place)
    free = facts.f_bavail * facts.f_frsize
    what = f"{free / 1e6:.1f} MB free in {place}, {needed_bytes / 1e6:.1f} MB needed"
    if free < needed_bytes:
        return DiskRoom(False, what)
    # Some file systems count no inodes (btrfs), and then have enough of them.
    counts_inodes = facts.f_files > 0
    wanted = min(files, MOST_FILES) + 1
    if counts_inodes and facts.f_favail < wanted:
        return DiskRoom(False, f"{facts.f_favail} inodes free in {place}, {wanted} needed")
    if filesystem_type(place) in _IN_MEMORY:
        return DiskRoom(True, what)
    if counts_inodes:
        wanted = min(wanted, max(int(facts.f_favail * MOST_OF_FREE), 1))
    try:
        _make_files(place / f"{PREFIX}{name}", wanted - 1)
        _take_bytes(place, min(needed_bytes, int(free * MOST_OF_FREE)), name)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        return DiskRoom(False, f"{what}, but the file system refuses them: {error.strerror}")
    return DiskRoom(True, what)


def _make_files(folder: Path, files: int) -> None:
    """Make so many files in a directory, and take them away again. Raises OSError."""
    folder.mkdir(mode=0o700)
    try:
        for number in range(files):
            os.close(os.open(folder / str(number), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _take_bytes(place: Path, amount: int, name: str) -> None:
    """Take so many bytes and give them back. Raises OSError, ENOSPC and EDQUOT among them."""
    fd = _nameless(place, name)
    try:
        try:
            _allocate(fd, amount)
        except OSError as error:
            if error.errno not in _NOT_GIVEN:
                raise
            os.ftruncate(fd, 0)
            _write(fd, min(amount, WRITTEN_BYTES))
        # Truncated before it is closed: closing frees nothing while another holds the file open.
        os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def _nameless(place: Path, name: str) -> int:
    """A file without a name, which ends with its descriptor. Raises OSError."""
    try:
        return os.open(place, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in _FULL:
            raise
    fd, path = tempfile.mkstemp(prefix=f"{PREFIX}{name}-", dir=place)
    try:
        Path(path).unlink()
    except OSError:
        os.close(fd)
        raise
    return fd


def _allocate(fd: int, amount: int) -> None:
    """Have the file system reserve the bytes, as fallocate(2) does. Raises OSError.

    Not `os.posix_fallocate`: without support it writes every block, a whole disk of data.
    """
    call = _fallocate()
    until, given = time.monotonic() + _TAKING_S, 0
    while given < amount and (given == 0 or time.monotonic() < until):
        piece = min(_PIECE_BYTES, amount - given)
        while call(fd, 0, given, piece) != 0:
            number = ctypes.get_errno()
            if number != errno.EINTR:
                raise OSError(number, os.strerror(number))
        given += piece


def _fallocate() -> Callable[[int, int, int, int], int]:
    libc = ctypes.CDLL(None, use_errno=True)
    # fallocate64 has 64-bit offsets everywhere; musl has only fallocate.
    call = getattr(libc, "fallocate64", None) or getattr(libc, "fallocate", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    call.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    call.restype = ctypes.c_int
    found: Callable[[int, int, int, int], int] = call
    return found


def _write(fd: int, amount: int) -> None:
    """Write so many bytes and sync them: a file server refuses only then. Raises OSError."""
    left = amount
    while left > 0:
        # Random blocks: a file system that compresses would need no room for equal ones.
        left -= os.write(fd, os.urandom(min(left, _WRITE_BYTES)))
    os.fsync(fd)
