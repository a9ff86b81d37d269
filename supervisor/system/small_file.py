"""Reads small files that any user may have put there. It never waits, and never reads on and on."""

import errno
import os
import stat
from pathlib import Path

LARGEST_BYTES = 1 << 24
_KINDS = (
    (stat.S_ISFIFO, "is a fifo, not a file"),
    (stat.S_ISSOCK, "is a socket, not a file"),
    (stat.S_ISCHR, "is a device, not a file"),
    (stat.S_ISBLK, "is a device, not a file"),
)


def read_small_file(path: Path, most_bytes: int = LARGEST_BYTES) -> bytes:
    """All bytes of a regular file. Raises OSError, also for another kind of file or a larger one.

    To open a fifo could take for ever, and to read /dev/zero would.
    """
    # Asked before the open as well: opening a device may do something (a tape is wound back).
    _refuse_other_kinds(path, path.stat())
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        facts = os.fstat(fd)
        _refuse_other_kinds(path, facts)
        if facts.st_size > most_bytes:
            raise OSError(errno.EFBIG, f"is {facts.st_size} bytes long, too many", str(path))
        # Files of /proc have no size, and others may grow meanwhile: count the bytes that are read.
        pieces, left = [], most_bytes + 1
        while left and (piece := os.read(fd, left)):
            pieces.append(piece)
            left -= len(piece)
    finally:
        os.close(fd)
    if not left:
        raise OSError(errno.EFBIG, f"is more than {most_bytes} bytes long", str(path))
    return b"".join(pieces)


def _refuse_other_kinds(path: Path, facts: os.stat_result) -> None:
    if stat.S_ISDIR(facts.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    for is_kind, text in _KINDS:
        if is_kind(facts.st_mode):
            raise OSError(errno.EINVAL, text, str(path))
