"""Hashing a file with xxh3-128: read once, in constant memory. No link is followed."""

import os
from collections.abc import Callable

import xxhash

CHUNK_BYTES = 4 << 20
# How far ahead the kernel is told to read. Its own window (128 KiB) leaves a fast disk idle.
AHEAD_BYTES = 16 << 20


def open_inside(root_fd: int, name: str) -> int:
    """Open a regular file below a directory; no component may be a link. Raises OSError.

    `name` is relative and safe (`format.is_safe_name`). O_NONBLOCK: a FIFO must not hang us.
    """
    *folders, leaf = name.split("/")
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = root_fd
    try:
        for folder in folders:
            deeper = os.open(folder, flags | os.O_DIRECTORY, dir_fd=fd)
            if fd != root_fd:
                os.close(fd)
            fd = deeper
        return os.open(leaf, flags, dir_fd=fd)
    finally:
        if fd != root_fd:
            os.close(fd)


def digest(fd: int, feed: Callable[[memoryview], None] | None = None) -> tuple[int, str]:
    """Read a file from its start to its end: bytes read and xxh3-128 in hex. Raises OSError.

    `feed` is called with every chunk, in order. The buffer is used again: `feed` must not keep it.
    """
    state = xxhash.xxh3_128()
    # A small file gets a small buffer: with thousands, zeroing would cost more than reading.
    buffer = memoryview(bytearray(min(CHUNK_BYTES, os.fstat(fd).st_size + 1)))
    os.lseek(fd, 0, os.SEEK_SET)
    os.posix_fadvise(fd, 0, AHEAD_BYTES, os.POSIX_FADV_WILLNEED)
    total = 0
    while count := os.readv(fd, [buffer]):
        os.posix_fadvise(fd, total + AHEAD_BYTES, CHUNK_BYTES, os.POSIX_FADV_WILLNEED)
        chunk = buffer[:count]
        state.update(chunk)
        if feed is not None:
            feed(chunk)
        total += count
    return total, state.hexdigest()
