"""Follows the opcodes of a pickle to its end, and carries none of them out.

Memory is bounded whatever the file holds.
"""

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
_LEGACY_PICKLES = 5  # magic, protocol, system, object, storage keys; raw storages follow them
# joblib writes raw arrays into the middle of its pickle, each behind a wrapper of this module.
_RAW_INSIDE = b"joblib.numpy_pickle"
_WINDOW_BYTES = 1 << 20


class _TooLargeError(Exception):
    """A pickle that cannot be followed in the memory and time allowed."""


class _Bounded:
    """A file from which pickletools reads, but never a huge piece at once."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size

    def read(self, count: int) -> bytes:
        """Read `count` bytes. Raises ValueError beyond the end, _TooLargeError above 16 MiB."""
        if count > self._size - self._file.tell():
            raise ValueError("cut short")
        if count > _MOST_READ_BYTES:
            raise _TooLargeError
        return self._file.read(count)

    def readline(self) -> bytes:
        """Read a line. Raises ValueError for a line of 1 MiB, which no pickler writes."""
        line = self._file.readline(_MOST_LINE_BYTES)
        if len(line) == _MOST_LINE_BYTES:
            raise ValueError("a line without an end")
        return line

    @property
    def position(self) -> int:
        """The offset of the next byte.

        It is no method `tell`, because pickletools would call that before each opcode.
        """
        return self._file.tell()


def check_pickle(fd: int, size: int) -> Check:
    """Follow the opcodes to STOP, in a file of torch's legacy format those of all five pickles.

    The file stays unproven: a changed value or a changed raw storage would not show. A pickle that
    is too large to follow is not refused, nor is one with joblib's raw arrays.
    Raises DamagedError if the opcodes do not lead to a STOP, OSError.
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
    """Whether a file that does not begin with 0x80 is a whole pickle, of protocol 0 or 1.

    False for a file of more than 16 MiB. Raises OSError.
    """
    if not 1 < size <= _MOST_READ_BYTES or os.pread(fd, 1, size - 1) != b".":
        return False
    try:
        read_pickle(os.pread(fd, size, 0))
    except UnknownPickleError:
        return False
    return True


def _follow(stream: _Bounded) -> None:
    """Follow one pickle to its STOP. Raises ValueError or its like if damaged, _TooLargeError."""
    import pickletools  # takes 3 ms, and few checkpoints need it
    import warnings

    readable: Any = stream
    with warnings.catch_warnings():
        # Python warns of escapes in a protocol 0 string as if that were source code.
        warnings.simplefilter("ignore")
        opcodes = pickletools.genops(readable)
        for _ in islice(opcodes, _MOST_OPCODES):
            pass
        for _ in opcodes:
            raise _TooLargeError


def _has_raw_arrays(fd: int, until: int) -> bool:
    """Whether joblib's wrapper stands before `until`, where the opcodes ceased to make sense."""
    overlap = len(_RAW_INSIDE) - 1
    return any(
        _RAW_INSIDE in os.pread(fd, min(_WINDOW_BYTES, until - at) + overlap, at)
        for at in range(0, min(until, _MOST_READ_BYTES), _WINDOW_BYTES)
    )
