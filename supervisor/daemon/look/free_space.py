"""Whether a directory has room for a checkpoint: asked by taking it, given back at once.

Free bytes are no proof: a quota and a want of inodes show none of it in statvfs. It runs in a child
process (`prober.py`), writes only what is hidden and bears this run's name, and leaves nothing.
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
# Of what is free others want something meanwhile, too.
MOST_OF_FREE = 0.9
WRITTEN_BYTES = 64 << 20
MOST_FILES = 4096
# In pieces: what a file system gives slowly is not waited for to its end.
_PIECE_BYTES = 1 << 30
_TAKING_S = 20.0
_WRITE_BYTES = 1 << 20
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# What fallocate(2) says where a file system has none, or not so much in one file.
_NOT_GIVEN = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EFBIG, errno.EINVAL})
# Room in memory would be taken from the machine: there, what is counted is what there is.
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
    shutil.rmtree(place / f"{PREFIX}{name}", ignore_errors=True)  # of one that was killed
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
        return DiskRoom(False, f"{what}, and they are refused: {error.strerror}")
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
        # Given back before it is closed: of a file that is held open elsewhere nothing is.
        os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def _nameless(place: Path, name: str) -> int:
    """A file that nobody sees and that ends with its descriptor. Raises OSError."""
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

    `os.posix_fallocate` writes every block where that is not supported: a disk of data.
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
    # The second name has 64-bit offsets everywhere; musl has the first alone.
    call = getattr(libc, "fallocate64", None) or getattr(libc, "fallocate", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    call.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    call.restype = ctypes.c_int
    found: Callable[[int, int, int, int], int] = call
    return found


def _write(fd: int, amount: int) -> None:
    """Write so many bytes down to the disk: a file server refuses only then. Raises OSError."""
    left = amount
    while left > 0:
        # No two blocks alike: one that compresses would need none of the room.
        left -= os.write(fd, os.urandom(min(left, _WRITE_BYTES)))
    os.fsync(fd)
