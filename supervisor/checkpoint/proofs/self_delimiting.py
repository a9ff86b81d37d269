"""Walks through MessagePack (flax) and UBJSON (xgboost), which say how long each value is.

A file is damaged if its end comes before the end of a value. Lengths are followed without reading
what they skip. A file that is not understood stays unproven.
"""

import os

from supervisor.checkpoint.proofs.file_check import Check, SeenAtOnce
from supervisor.checkpoint.proofs.zip_archive import DamagedError

# A model of xgboost has some 20 values a tree. More values would take seconds.
_MOST_VALUES = 400_000
_HEAD_BYTES = 6
_LONG_KEYS = (0xD9, 0xDA)
_WINDOW_BYTES = 64 << 10


class _UnknownError(Exception):
    """The file is not understood, so it proves nothing."""


class _Reader:
    """A place in a file, which moves on. It counts values, and refuses to pass the file's end."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._size = size
        self._window = b""
        self._begin = 0
        self._left = _MOST_VALUES
        self.at = 0

    def take(self, count: int) -> bytes:
        """The next bytes, at most 16. Raises DamagedError at the end of the file, OSError."""
        start = self.at
        self.skip(count)
        if not self._begin <= start <= self._begin + len(self._window) - count:
            self._window, self._begin = os.pread(self._fd, _WINDOW_BYTES, start), start
            if len(self._window) < count:
                raise DamagedError("is cut short")
        return self._window[start - self._begin : start - self._begin + count]

    def skip(self, count: int) -> None:
        """Pass over bytes. Raises DamagedError if the file ends before them."""
        self.at += count
        if self.at > self._size:
            raise DamagedError("is cut short")

    def number(self, count: int) -> int:
        """The next big-endian number without a sign."""
        return int.from_bytes(self.take(count), "big")

    def note_value(self) -> None:
        """Count one more value. Raises _UnknownError for too many."""
        self._left -= 1
        if self._left < 0:
            raise _UnknownError

    @property
    def is_at_end(self) -> bool:
        """Whether nothing follows in the file."""
        return self.at == self._size


def is_msgpack(head: bytes) -> bool:
    """Whether a file begins with a map whose first key is a string. `head`: 6 bytes, or more."""
    at = _key_of_map(head)
    return (
        at is not None and len(head) > at and (0xA1 <= head[at] <= 0xBF or head[at] in _LONG_KEYS)
    )


def _key_of_map(head: bytes) -> int | None:
    """Where the first key of a map that is not empty stands; None if no map begins the file."""
    if b"\x81" <= head[:1] <= b"\x8f":
        return 1
    return {b"\xde": 3, b"\xdf": 5}.get(head[:1])


def check_msgpack(fd: int, size: int) -> Check:
    """Check a file of values that begins with a map, as flax writes it.

    Raises DamagedError, OSError.

    Source: github.com/msgpack/msgpack, spec.md.
    """
    head = os.pread(fd, _HEAD_BYTES, 0)
    at = _key_of_map(head)
    if at is not None and len(head) <= at:
        raise DamagedError("is cut short")
    if not is_msgpack(head):
        return SeenAtOnce(is_proof=False)
    reader = _Reader(fd, size)
    try:
        while not reader.is_at_end:
            _pass_msgpack(reader)
    except _UnknownError:
        return SeenAtOnce(is_proof=False)
    return SeenAtOnce(is_proof=True)


# Of each kind: the width of the length or count behind the tag, and further bytes to pass over.
_MSGPACK_DATA = {0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xC7: (1, 1), 0xC8: (2, 1),
                 0xC9: (4, 1), 0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0)}  # fmt: skip
_MSGPACK_FIXED = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8,
                  0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8, 0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9,
                  0xD8: 17}  # fmt: skip
_MSGPACK_HOLDERS = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}


def _pass_msgpack(reader: _Reader) -> None:
    left = 1
    while left:
        left -= 1
        reader.note_value()
        tag = reader.number(1)
        if tag <= 0x7F or tag >= 0xE0:
            continue
        if tag <= 0x8F:
            left += 2 * (tag & 0x0F)
        elif tag <= 0x9F:
            left += tag & 0x0F
        elif tag <= 0xBF:
            reader.skip(tag & 0x1F)
        elif tag in _MSGPACK_DATA:
            width, more = _MSGPACK_DATA[tag]
            reader.skip(reader.number(width) + more)
        elif tag in _MSGPACK_HOLDERS:
            width, each = _MSGPACK_HOLDERS[tag]
            left += each * reader.number(width)
        elif tag in _MSGPACK_FIXED:
            reader.skip(_MSGPACK_FIXED[tag])
        else:
            raise _UnknownError


def check_ubjson(fd: int, size: int) -> Check:
    """Check a file whose one value is an object, as xgboost writes it.

    Raises DamagedError, OSError.

    Source: ubjson.org, type reference; xgboost 3.2, src/common/json.cc (`UBJReader`).
    """
    head = os.pread(fd, _HEAD_BYTES, 0)
    if head == b"{":
        raise DamagedError("is cut short")
    if head[:1] != b"{" or head[1:2] not in _UBJSON_NUMBERS:
        return SeenAtOnce(is_proof=False)
    reader = _Reader(fd, size)
    try:
        _pass_ubjson(reader)
    except _UnknownError:
        return SeenAtOnce(is_proof=False)
    return SeenAtOnce(is_proof=reader.is_at_end)


_UBJSON_FIXED = {b"Z": 0, b"N": 0, b"T": 0, b"F": 0, b"i": 1, b"U": 1, b"C": 1, b"I": 2, b"l": 4,
                 b"d": 4, b"L": 8, b"D": 8}  # fmt: skip
_UBJSON_NUMBERS = {b"i": 1, b"U": 1, b"I": 2, b"l": 4, b"L": 8}


def _pass_ubjson(reader: _Reader) -> None:
    # The open arrays and objects: the values still to come (None: up to a closing mark).
    opened: list[tuple[bytes, int | None]] = []
    while True:
        holder, left = opened[-1] if opened else (b"", None)
        if left == 0:
            opened.pop()
            if not opened:
                return
            continue
        reader.note_value()
        mark = reader.take(1)
        if left is None and mark == {b"[": b"]", b"{": b"}"}.get(holder):
            opened.pop()
            if not opened:
                return
            continue
        if left is not None:
            opened[-1] = (holder, left - 1)
        if holder == b"{":
            # The mark was that of the length of the key. The value's own mark follows the key.
            reader.skip(_length(reader, mark))
            mark = reader.take(1)
        if mark in (b"[", b"{"):
            _open(reader, mark, opened)
        elif mark in (b"S", b"H"):
            reader.skip(_length(reader, reader.take(1)))
        elif mark in _UBJSON_FIXED:
            reader.skip(_UBJSON_FIXED[mark])
        else:
            raise _UnknownError


def _open(reader: _Reader, mark: bytes, opened: list[tuple[bytes, int | None]]) -> None:
    """Enter an array or object; one of numbers of a single type is passed over at once."""
    start = reader.at
    sign = reader.take(1)
    kind = None
    if sign == b"$":
        kind = reader.take(1)
        sign = reader.take(1)
        if sign != b"#" or mark != b"[" or kind not in _UBJSON_FIXED:
            raise _UnknownError
    if sign != b"#":
        reader.at = start
        opened.append((mark, None))
        return
    count = _length(reader, reader.take(1))
    if kind is None:
        opened.append((mark, count))
    else:
        reader.skip(count * _UBJSON_FIXED[kind])


def _length(reader: _Reader, mark: bytes) -> int:
    """A length or count, of which `mark` gives the width."""
    width = _UBJSON_NUMBERS.get(mark)
    if width is None:
        raise _UnknownError
    count = reader.number(width)
    if count >= 1 << (8 * width - 1) and mark != b"U":
        raise _UnknownError  # a negative length
    return count
