"""Fills in the CRC-32s of a torch archive as it streams by.

A slot's archive has the CRCs of its layout: `torch.serialization.skip_data` leaves zeros for data,
and what is copied in place afterwards has other CRCs. A record's CRC is in two places, the data
descriptor and the central directory (PKWARE APPNOTE 6.3.10, 4.3.9 and 4.3.12). Both come after its
data, so one pass is enough.
"""

import heapq
import os

from supervisor.checkpoint.proofs.crc import crc32
from supervisor.checkpoint.proofs.zip_archive import ArchiveRecord, DamagedError, read_records

__all__ = ["Checksums", "DamagedError"]

_STORED = 0
_DESCRIPTOR = b"PK\7\10"
_CRC_IN_DESCRIPTOR = 4
_CRC_IN_ENTRY = 16
_CRC_BYTES = 4


class Checksums:
    """Follows one archive from its first byte to its last."""

    def __init__(self, fd: int, size: int) -> None:
        """Read the archive's directory. Raises DamagedError for what torch does not write."""
        self._records = read_records(fd, size)
        for record in self._records:
            _check(fd, record)
        self._index = 0
        self._crc = 0
        self._patches: list[tuple[int, bytes]] = []

    def fill(self, chunk: memoryview, begin: int) -> None:
        """Take the chunk that begins at offset `begin`, and correct the CRCs that lie in it."""
        end = begin + len(chunk)
        while self._index < len(self._records):
            record = self._records[self._index]
            if record.start >= end:
                break
            piece = chunk[max(record.start - begin, 0) : min(record.end, end) - begin]
            self._crc = crc32(piece, self._crc)
            if record.end > end:
                break
            self._close(record)
        while self._patches and self._patches[0][0] < end:
            offset, crc = self._patches[0]
            for index in range(max(begin - offset, 0), min(end - offset, _CRC_BYTES)):
                chunk[offset + index - begin] = crc[index]
            if offset + _CRC_BYTES > end:
                break  # the rest of it is in the next chunk
            heapq.heappop(self._patches)

    def finish(self) -> None:
        """Take note of the archive's end. Raises DamagedError if a record or CRC is missing."""
        if self._index < len(self._records) or self._patches:
            raise DamagedError("ended while it was being read")

    def _close(self, record: ArchiveRecord) -> None:
        crc = self._crc.to_bytes(_CRC_BYTES, "little")
        if record.is_described:
            heapq.heappush(self._patches, (record.end + _CRC_IN_DESCRIPTOR, crc))
        heapq.heappush(self._patches, (record.entry + _CRC_IN_ENTRY, crc))
        self._crc = 0
        self._index += 1


def _check(fd: int, record: ArchiveRecord) -> None:
    if record.method != _STORED:
        raise DamagedError("has a compressed record, which torch does not write")
    if record.is_described:
        if os.pread(fd, len(_DESCRIPTOR), record.end) != _DESCRIPTOR:
            raise DamagedError("has a record without its data descriptor")
    elif record.size:
        raise DamagedError("has a record whose CRC comes before its data")
