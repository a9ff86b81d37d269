"""Containers that other programs write, known by their first bytes: gzip, tar, HDF5.

A file is damaged if no whole file could look like it. A file that is not understood stays
unproven.
"""

import os
import re
import zlib

from supervisor.checkpoint.proofs.file_check import Check, SeenAtOnce, read_exactly
from supervisor.checkpoint.proofs.zip_archive import DamagedError

_GZIP = b"\x1f\x8b\x08"
# bzip2, xz, Zstandard, LZ4, and zlib in the three levels that joblib uses.
COMPRESSED = (_GZIP, b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18",
              b"\x78\x01", b"\x78\x9c", b"\x78\xda")  # fmt: skip
_HDF5 = b"\x89HDF\r\n\x1a\n"
CONTAINERS = (_GZIP, _HDF5)
_INFLATE_BYTES = 1 << 20
# Inflating more would take longer than a user waits for a verdict.
_MOST_INFLATED_BYTES = 4 << 30
_PIECE_BYTES = 64 << 10
_MOST_MEMBERS = 10_000
_TAR_BLOCK = 512
_MOST_PAX_BYTES = 1 << 20
# Links, devices, directories and pipes have no data, whatever size their header gives.
_TAR_WITHOUT_DATA = b"123456"
_UNDEFINED_ADDRESS = b"\xff"


def check_container(fd: int, head: bytes, size: int) -> Check | None:
    """The check for a container; None if the first bytes are of no container known here.

    `head`: at least the first 512 bytes, or the whole of a shorter file. Raises DamagedError,
    OSError.
    """
    if head.startswith(_GZIP):
        return GzipCheck()
    if head.startswith(_HDF5):
        return _check_hdf5(head, size)
    if head[257:262] == b"ustar" and len(head) >= _TAR_BLOCK:
        return _check_tar(fd, size)
    return None


def is_container(head: bytes) -> bool:
    """Whether a file with these first bytes is a container that `check_container` knows."""
    return head.startswith((_GZIP, _HDF5)) or head[257:262] == b"ustar"


class GzipCheck:
    """Inflates a gzip file as it streams by: each member ends with the CRC-32 of its content.

    Source: RFC 1952. Zeros behind a member are padding, as gzip itself treats them.
    """

    def __init__(self) -> None:
        self.is_proof = True
        self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._left = _MOST_INFLATED_BYTES
        self._members = 1
        self._is_between = False

    def feed(self, chunk: memoryview) -> None:
        """Take the next bytes of the file. Raises DamagedError."""
        # The chunk is taken in pieces. zlib copies all that follows a member, and a chunk may hold
        # thousands of members.
        for start in range(0, len(chunk), _PIECE_BYTES):
            rest: bytes = bytes(chunk[start : start + _PIECE_BYTES])
            while rest and self.is_proof:
                rest = self._take(rest)

    def finish(self) -> None:
        """Say that the file has ended. Raises DamagedError."""
        # The limit on one call's output may have held bytes back.
        while self.is_proof and not self._is_between:
            if not self._inflate(self._inflater.unconsumed_tail) and not self._is_between:
                raise DamagedError("is a gzip file that is cut short")

    def _take(self, data: bytes) -> bytes:
        """Take a piece of the file; returns the part of it to be taken next."""
        if self._is_between:
            data = data.lstrip(b"\0")
            if not data:
                return b""
            self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
            self._is_between = False
            self._members += 1
        self._inflate(data)
        return self._inflater.unused_data if self._is_between else self._inflater.unconsumed_tail

    def _inflate(self, data: bytes) -> int:
        """Inflate a piece; returns the number of bytes that came out. Raises DamagedError."""
        try:
            count = len(self._inflater.decompress(data, _INFLATE_BYTES))
        except zlib.error as error:
            raise DamagedError("is a gzip file that is damaged") from error
        self._left -= count
        self._is_between = self._inflater.eof
        self.is_proof = self._left > 0 and self._members <= _MOST_MEMBERS
        return count


def _check_hdf5(head: bytes, size: int) -> Check:
    """Check that the file is at least as long as its superblock says. Raises DamagedError.

    Source: HDF5 File Format Specification 3.0, II.A.
    """
    version = head[8] if len(head) > 8 else 255
    if version in (0, 1):
        width, at = head[13:14], 24 + 4 * version
    elif version in (2, 3):
        width, at = head[9:10], 12
    else:
        return SeenAtOnce(is_proof=False)
    count = width[0] if width else 0
    base, end = head[at : at + count], head[at + 2 * count : at + 3 * count]
    if count not in (2, 4, 8) or len(end) < count:
        raise DamagedError("is an HDF5 file that is cut short or damaged")
    if end == _UNDEFINED_ADDRESS * count or any(base):
        return SeenAtOnce(is_proof=False)
    named = int.from_bytes(end, "little")
    if size < named:
        raise DamagedError(f"is an HDF5 file that is cut short: {size} of {named} bytes are there")
    return SeenAtOnce(is_proof=False)


def _check_tar(fd: int, size: int) -> Check:
    """Check all headers up to the block of zeros that ends the archive.

    Source: POSIX.1-2017, pax. Raises DamagedError, OSError.
    """
    position, next_size = 0, None
    for _ in range(_MOST_MEMBERS):
        block = os.pread(fd, _TAR_BLOCK, position)
        if len(block) < _TAR_BLOCK:
            raise DamagedError("is a tar file that is cut short: nothing marks its end")
        if not any(block):
            return SeenAtOnce(is_proof=False)
        kind = block[156:157]
        plain = block[:148] + b" " * 8 + block[156:]
        if _tar_number(block[148:156]) not in (sum(plain), _signed_sum(plain)):
            raise DamagedError("is a tar file with a damaged header")
        length = _tar_number(block[124:136])
        if length is None or kind in b"SM":  # sparse files, files continued from another archive
            return SeenAtOnce(is_proof=False)
        data = position + _TAR_BLOCK
        if kind == b"x":
            if length > _MOST_PAX_BYTES:
                return SeenAtOnce(is_proof=False)
            next_size = _pax_size(read_exactly(fd, length, data))
        elif kind not in b"gLK":
            length = length if next_size is None else next_size
            next_size = None
        if kind in _TAR_WITHOUT_DATA:
            length = 0
        position = data + -(-length // _TAR_BLOCK) * _TAR_BLOCK
        if data + length > size:
            raise DamagedError("is a tar file that is cut short")
    return SeenAtOnce(is_proof=False)


def _tar_number(field: bytes) -> int | None:
    """The number in a field of octal digits, or of GNU's base 256; None for anything else."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if not digits:
        return 0
    return int(digits, 8) if re.fullmatch(rb"[0-7]+", digits) else None


def _signed_sum(block: bytes) -> int:
    """The checksum as a few old programs computed it, from signed bytes."""
    return sum(block) - 256 * sum(byte > 127 for byte in block)


def _pax_size(records: bytes) -> int | None:
    found = re.search(rb"(?:^|\n)\d+ size=(\d{1,18})\n", records)
    return None if found is None else int(found[1])
