"""Pickles followed to their end without doing what they say; constant memory, any input."""

import os
import struct
from itertools import islice
from typing import Any, BinaryIO

from supervisor.checkpoint.proofs.file_check import Check, SeenAtOnce
from supervisor.checkpoint.proofs.pickle_values import UnknownPickleError, read_pickle
from supervisor.checkpoint.proofs.zip_archive import DamagedError

TORCH_MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
_MOST_READ_BYTES = 16 << 20
_MOST_LINE_BYTES = 1 << 20
_MOST_OPCODES = 2_000_000
_LEGACY_PICKLES = 5  # magic, protocol, system, object, storage keys; then the raw storages
# joblib writes arrays as they are into the middle of its pickle, behind a wrapper of this module.
_RAW_INSIDE = b"joblib.numpy_pickle"
_WINDOW_BYTES = 1 << 20


class _TooLargeError(Exception):
    """A pickle that cannot be followed in the memory and time allowed."""


class _Bounded:
    """A file as pickletools reads it, in which no single read may be huge."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size

    def read(self, count: int) -> bytes:
        """At most `count` bytes. Raises _TooLargeError, ValueError beyond the end."""
        if count > self._size - self._file.tell():
            raise ValueError("cut short")
        if count > _MOST_READ_BYTES:
            raise _TooLargeError
        return self._file.read(count)

    def readline(self) -> bytes:
        """A whole line. Raises ValueError for one that no pickler writes."""
        line = self._file.readline(_MOST_LINE_BYTES)
        if len(line) == _MOST_LINE_BYTES:
            raise ValueError("a line without an end")
        return line

    @property
    def position(self) -> int:
        """Where the next byte is read; a method `tell` would be called before each opcode."""
        return self._file.tell()


def check_pickle(fd: int, size: int) -> Check:
    """Follow the opcodes to STOP; raw storages behind it stay unproven.

    Raises DamagedError where there is no way to a STOP, OSError.
    """
    os.lseek(fd, 0, os.SEEK_SET)
    with open(fd, "rb", closefd=False) as file:
        stream = _Bounded(file, size)
        try:
            count = _LEGACY_PICKLES if os.pread(fd, len(TORCH_MAGIC), 0) == TORCH_MAGIC else 1
            for _ in range(count):
                _follow(stream)
        except _TooLargeError:
            return SeenAtOnce(is_proof=False)
        except (ValueError, struct.error, OverflowError, IndexError, RecursionError) as error:
            if _has_raw_arrays(fd, stream.position):
                return SeenAtOnce(is_proof=False)
            raise DamagedError("is a pickle that is cut short or damaged") from error
    return SeenAtOnce(is_proof=False)


def is_text_pickle(fd: int, size: int) -> bool:
    """Whether a file of another first byte than 0x80 is a whole pickle, of protocol 0 or 1."""
    if not 1 < size <= _MOST_READ_BYTES or os.pread(fd, 1, size - 1) != b".":
        return False
    try:
        read_pickle(os.pread(fd, size, 0))
    except UnknownPickleError:
        return False
    return True


def _follow(stream: _Bounded) -> None:
    """One pickle, to its STOP. Raises ValueError, _TooLargeError."""
    import pickletools  # 3 ms that few checkpoints need
    import warnings

    readable: Any = stream
    with warnings.catch_warnings():
        # Of an escape sequence in a protocol 0 string: it is nobody's program that is read here.
        warnings.simplefilter("ignore")
        opcodes = pickletools.genops(readable)
        for _ in islice(opcodes, _MOST_OPCODES):
            pass
        for _ in opcodes:
            raise _TooLargeError


def _has_raw_arrays(fd: int, until: int) -> bool:
    """Whether joblib's wrapper stands before the place where the opcodes made no more sense."""
    overlap = len(_RAW_INSIDE) - 1
    return any(
        _RAW_INSIDE in os.pread(fd, min(_WINDOW_BYTES, until - at) + overlap, at)
        for at in range(0, min(until, _MOST_READ_BYTES), _WINDOW_BYTES)
    )
