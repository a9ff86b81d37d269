"""Proves zip archives (torch.save's) record by record in one pass, and unpacks nothing to disk.

The standard zipfile module holds a central directory of any size in memory and lets records
overlap. A hostile file uses that. Format: PKWARE APPNOTE 6.3.10.
"""

import os
import struct
import zlib
from typing import NamedTuple

from supervisor.checkpoint.proofs.crc import crc32

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_END64_HEAD = 12  # bytes that the size in this record does not count
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_MOST_DIRECTORY_BYTES = 16 << 20
_MOST_COMMENT_BYTES = 0xFFFF
_STORED, _DEFLATED = 0, 8
_MOST_EXPANSION = 1032  # deflate cannot expand more
_INFLATE_BYTES = 1 << 20
# torch never deflates. A file that takes longer to inflate than to train again is no checkpoint.
_MOST_INFLATED_BYTES = 16 << 30
# Flags of a record that is encrypted in one of three ways, or is a patch to another file.
_UNREADABLE = 0x1 | 0x20 | 0x40 | 0x2000
_DESCRIBED = 0x8
_DOS_DIRECTORY = 0x10


class DamagedError(ValueError):
    """What is wrong with a file's structure, as a phrase that completes '<file> …'."""


class UnprovableError(DamagedError):
    """The archive is none that torch writes, but another program may have written it on purpose."""


class ArchiveRecord(NamedTuple):
    """One record: the range of its data in the file, and the CRC-32 and size of the unpacked data.

    `entry`: the offset of its entry in the central directory. `is_described`: a data descriptor
    stands behind its data (flag bit 3).
    """

    start: int
    end: int
    method: int
    crc: int
    size: int
    name: bytes
    entry: int
    is_described: bool


class ZipCheck:
    """Checks an archive's directory when it is made, and each record as its bytes are fed.

    The archive lies in the file from `begin` up to `end`. The caller feeds the bytes from `begin`.
    """

    def __init__(self, fd: int, end: int, *, begin: int = 0) -> None:
        self._records = read_records(fd, end, begin=begin)
        # After torch.serialization.set_crc32_options(False), torch writes 0 for every CRC-32.
        self.is_proof = any(record.crc for record in self._records)
        self._index = 0
        self._offset = begin
        self._crc = 0
        self._produced = 0
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._pass_empty()

    def feed(self, chunk: memoryview) -> None:
        """Take the next bytes of the file. Raises DamagedError."""
        begin, end = self._offset, self._offset + len(chunk)
        while self._index < len(self._records):
            record = self._records[self._index]
            if record.start >= end:
                break
            piece = chunk[max(record.start - begin, 0) : min(record.end, end) - begin]
            self._take(record, piece)
            if record.end > end:
                break
            self._close(record)
            self._pass_empty()
        self._offset = end

    def finish(self) -> None:
        """Say that the file has ended. Raises DamagedError."""
        if self._index < len(self._records):
            raise DamagedError("ended while it was being read")

    def _pass_empty(self) -> None:
        """Close the next records that have no data, because no chunk holds a byte of them."""
        while self._index < len(self._records):
            record = self._records[self._index]
            if record.end > record.start:
                return
            self._close(record)

    def _take(self, record: ArchiveRecord, piece: memoryview) -> None:
        if record.method == _STORED:
            self._crc = crc32(piece, self._crc)
            self._produced += len(piece)
            return
        rest: bytes | memoryview = piece
        try:
            while rest and not self._inflater.eof:
                data = self._inflater.decompress(rest, _INFLATE_BYTES)
                rest = self._inflater.unconsumed_tail
                self._count(record, data)
        except zlib.error as error:
            raise DamagedError(f"has a damaged record {_shown(record.name)}") from error

    def _count(self, record: ArchiveRecord, data: bytes) -> None:
        self._crc = crc32(data, self._crc)
        self._produced += len(data)
        if self._produced > record.size:
            raise DamagedError(f"has a record {_shown(record.name)} beyond its declared size")

    def _close(self, record: ArchiveRecord) -> None:
        if record.method == _DEFLATED:
            while not self._inflater.eof:  # the limit on one call's output held bytes back
                try:
                    data = self._inflater.decompress(self._inflater.unconsumed_tail, _INFLATE_BYTES)
                except zlib.error as error:
                    raise DamagedError(f"has a damaged record {_shown(record.name)}") from error
                if not data:
                    raise DamagedError(f"has a record {_shown(record.name)} that is cut short")
                self._count(record, data)
            self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        if self._produced != record.size or (self.is_proof and self._crc != record.crc):
            raise DamagedError(f"has a record {_shown(record.name)} that fails its CRC-32")
        self._crc = self._produced = 0
        self._index += 1


def read_records(fd: int, end: int, *, begin: int = 0) -> list[ArchiveRecord]:
    """The records by position in the file, read from the central directory and the local headers.

    The archive lies from `begin` up to `end`. Raises DamagedError for anything but an archive whose
    records do not overlap, UnprovableError for an archive that torch does not write, and OSError.
    """
    offset, length, count = _find_directory(fd, begin, end)
    if length > _MOST_DIRECTORY_BYTES:
        raise UnprovableError(f"has a directory of {length} bytes, more than any checkpoint's")
    directory = os.pread(fd, length, offset)
    found: list[ArchiveRecord] = []
    names = set()
    position = 0
    while position < length:
        if len(directory) - position < _CENTRAL.size:
            raise DamagedError("has a damaged directory")
        fields = _CENTRAL.unpack_from(directory, position)
        magic, flags, method, crc, packed, plain = fields[0], *fields[3:5], *fields[7:10]
        name_length, extra_length, comment_length = fields[10:13]
        entry = offset + position
        start = position + _CENTRAL.size
        name = directory[start : start + name_length]
        extra = directory[start + name_length : start + name_length + extra_length]
        position = start + name_length + extra_length + comment_length
        if magic != b"PK\1\2" or position > length or name in names:
            raise DamagedError("has a damaged directory")
        names.add(name)
        plain, packed, header = _widen(extra, plain, packed, fields[16])
        header += begin
        if flags & _UNREADABLE or method not in (_STORED, _DEFLATED):
            raise UnprovableError(f"has a record {_shown(name)} that no trainer writes")
        if plain != packed if method == _STORED else plain > packed * _MOST_EXPANSION:
            raise DamagedError(f"has a record {_shown(name)} of an impossible size")
        if fields[13] or (plain and fields[15] & _DOS_DIRECTORY):
            # For a "directory" torch reads nothing, and returns uninitialized memory.
            raise DamagedError(f"has a record {_shown(name)} that is no file in it")
        is_described = bool(flags & _DESCRIBED)
        until = header + packed  # `_locate` adds the length of the local header
        found.append(ArchiveRecord(header, until, method, crc, plain, name, entry, is_described))
    if len(found) != count:
        raise DamagedError(f"has {len(found)} records in its directory, not {count}")
    if sum(record.size for record in found if record.method == _DEFLATED) > _MOST_INFLATED_BYTES:
        raise UnprovableError("has more deflated data than any checkpoint")
    found.sort(key=lambda record: record.start)
    _locate(fd, found, begin, offset)
    return found


def _locate(fd: int, records: list[ArchiveRecord], begin: int, directory_offset: int) -> None:
    """Turn the records' header offsets and packed sizes into the ranges of their data.

    Raises DamagedError if a local header is damaged or ranges overlap, OSError.
    """
    free_from = begin
    for index, record in enumerate(records):
        header, name = record.start, record.name
        if not free_from <= header <= directory_offset:
            raise DamagedError("has records that overlap")
        raw = os.pread(fd, _LOCAL.size + len(name), header)
        if len(raw) < _LOCAL.size + len(name):
            raise DamagedError("has records that overlap")
        fields = _LOCAL.unpack_from(raw)
        if fields[0] != b"PK\3\4" or raw[_LOCAL.size :] != name or fields[9] != len(name):
            raise DamagedError(f"has a damaged header before {_shown(name)}")
        start = header + _LOCAL.size + len(name) + fields[10]
        free_from = start + record.end - record.start
        if free_from > directory_offset:
            raise DamagedError("has records that overlap")
        records[index] = record._replace(start=start, end=free_from)


def _find_directory(fd: int, begin: int, size: int) -> tuple[int, int, int]:
    """The central directory's offset in the file, its length, and its number of records.

    The archive lies from `begin` up to `size`. Raises DamagedError, OSError.
    """
    tail_offset = max(size - _END.size - _MOST_COMMENT_BYTES, begin)
    tail = os.pread(fd, size - tail_offset, tail_offset)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        raise DamagedError("is cut short: its zip directory is missing")
    _, disk, first_disk, here, count, length, offset, comment = _END.unpack_from(tail, at)
    if at + _END.size + comment != len(tail):
        raise DamagedError("is cut short or has data behind its end")
    end = tail_offset + at
    locator = os.pread(fd, _END64_LOCATOR.size, max(end - _END64_LOCATOR.size, begin))
    if locator[:4] == b"PK\6\7" and len(locator) == _END64_LOCATOR.size:
        _, disk_of_end, at, disks = _END64_LOCATOR.unpack(locator)
        at += begin
        raw = os.pread(fd, _END64.size, at) if at < size else b""
        if len(raw) != _END64.size or raw[:4] != b"PK\6\6":
            raise DamagedError("has a damaged zip64 directory")
        _, rest, _, _, disk, first_disk, here, count, length, offset = _END64.unpack(raw)
        if disk_of_end or disks != 1 or at + _END64_HEAD + rest != end - _END64_LOCATOR.size:
            raise DamagedError("has a damaged zip64 directory")
        end = at
    if disk or first_disk or here != count:
        raise DamagedError("says that it is only a part of an archive")
    if begin + offset + length != end:
        raise DamagedError("has a directory at another place than it says")
    return begin + offset, length, count


def _widen(extra: bytes, plain: int, packed: int, header: int) -> tuple[int, int, int]:
    """The sizes and the offset; those that did not fit come from the zip64 extra field.

    Raises DamagedError.
    """
    wide = [plain, packed, header]
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        if kind == 1:
            field = extra[position + 4 : position + 4 + length]
            for index, value in enumerate(wide):
                if value == 0xFFFFFFFF:
                    if len(field) < 8:
                        raise DamagedError("has a damaged zip64 record")
                    wide[index], field = int.from_bytes(field[:8], "little"), field[8:]
            break
        position += 4 + length
    return wide[0], wide[1], wide[2]


def _shown(name: bytes) -> str:
    return ascii(name.decode("utf-8", "replace")[:80])
