"""Prepares a snapshot's files in one pass: reads them, fills in CRCs, hashes, checks weights.

One thread prepares and writes. A second thread that prepared ahead saved no time, since the CRCs
take a thirtieth of what they took with zlib; and it used the core that training runs on.
"""

import mmap
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

import xxhash

from supervisor.checkpoint.digest import open_inside
from supervisor.checkpoint.format import MANIFEST, FileRecord
from supervisor.checkpoint.listing import FileListing, list_unnamed
from supervisor.memory.checksums import Checksums, DamagedError
from supervisor.memory.slots import Whole
from supervisor.memory.weights import FiniteStream, Weights, reason

# The kernel looks for larger pages to hold a larger write, and that can take long: 300 MB took 0.17
# to 0.78 s of CPU time in writes of 4 MiB, and 0.17 s in writes of 1 MiB (ext4, Linux 6.18).
CHUNK_BYTES = 1 << 20


class Chunk(NamedTuple):
    """The next bytes of a file; valid until the next one is asked for."""

    name: str
    offset: int
    data: memoryview


class Done(NamedTuple):
    """A file has ended: its size and hash as they are to be on the disk."""

    name: str
    record: FileRecord


StreamPart = Chunk | Done


def list_files_of(whole: Whole) -> FileListing:
    """List a snapshot's files: plain ones of the recorded size. Raises DamagedError, OSError."""
    stock = list_unnamed(whole.path)
    if not stock.is_directory:
        raise DamagedError(f"{whole.path.name} is not a directory")
    for name, facts in stock.files.items():
        if not facts.is_regular:
            raise DamagedError(f"{name} is not a regular file (links are not followed)")
        if name == MANIFEST:
            raise DamagedError(f"{name} must not exist before the snapshot is persisted")
    if stock.total_bytes != whole.snapshot.bytes:
        raise DamagedError(f"has {stock.total_bytes} bytes, not {whole.snapshot.bytes}")
    return stock


def sizes_of(stock: FileListing) -> dict[str, int]:
    """The size of each file in bytes."""
    return {name: facts.size for name, facts in stock.files.items()}


def is_archive(name: str) -> bool:
    """Whether a file is one of torch's archives, whose CRCs are to be filled in."""
    return name.endswith(".pt")


class SnapshotStream:
    """All files of a snapshot in a row, through one buffer."""

    def __init__(self, stock: FileListing, weights: Weights) -> None:
        self._stock = stock
        self._weights = weights
        self._buffer = mmap.mmap(-1, CHUNK_BYTES)
        self.reason: str | None = None
        """Which file has weights that are not finite, once one was seen."""

    @property
    def finite(self) -> bool | None:
        """Whether all weights are finite, once all files were read; None if nobody says where."""
        if self.reason is not None:
            return False
        return True if self._weights else None

    def __iter__(self) -> Iterator[StreamPart]:
        """Every file's chunks and then its end. Raises DamagedError, OSError."""
        root_fd = os.open(self._stock.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in sorted(self._stock.files):
                yield from self._prepare(root_fd, name)
        finally:
            os.close(root_fd)

    def _prepare(self, root_fd: int, name: str) -> Iterator[StreamPart]:
        size = self._stock.files[name].size
        fd = open_inside(root_fd, name)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise DamagedError(f"{name} is not a file")
            try:
                yield from self._follow(fd, name, size)
            except DamagedError as error:
                raise DamagedError(f"{name} {error}") from error
        finally:
            os.close(fd)

    def _follow(self, fd: int, name: str, size: int) -> Iterator[StreamPart]:
        checksums = Checksums(fd, size) if is_archive(name) else None
        finite = FiniteStream(self._weights.get(name, ()))
        state = xxhash.xxh3_128()
        offset = 0
        while offset < size:
            data = _fill(self._buffer, fd, min(size - offset, CHUNK_BYTES))
            finite.feed(data, offset)
            if checksums is not None:
                checksums.fill(data, offset)
            state.update(data)
            yield Chunk(name, offset, data)
            offset += len(data)
        if checksums is not None:
            checksums.finish()
        if not finite.is_finite:
            self.reason = self.reason or reason(name)
        yield Done(name, FileRecord(size, state.hexdigest()))


def _fill(buffer: mmap.mmap, fd: int, count: int) -> memoryview:
    """The next `count` bytes of a file, all of them. Raises DamagedError if it is cut short.

    The file is read and not mapped. A mapped tmpfs file may lack pages, and touching one of those
    raises SIGBUS.
    """
    data = memoryview(buffer)[:count]
    done = 0
    while done < count:
        got = os.readv(fd, [data[done:]])
        if got == 0:
            raise DamagedError("ended while it was being read")
        done += got
    return data
