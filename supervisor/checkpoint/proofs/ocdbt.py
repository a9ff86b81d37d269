"""Checks the files of OCDBT, the store in which orbax keeps arrays: manifests and data files.

A manifest, and each node of the tree, has a magic number, its length and a CRC-32C. A data file
holds values and, behind them, nodes. Their content is compressed with Zstandard, which Python's
standard library cannot read before 3.14, so the values' places are not known. Source:
google.github.io/tensorstore, kvstore/ocdbt (storage format).
"""

import os

from supervisor.checkpoint.proofs.file_check import Check, SeenAtOnce
from supervisor.checkpoint.proofs.zip_archive import DamagedError

_MANIFEST = b"\x0c\xdb\x3a\x2a"
_NODE = b"\x0c\xdb\x20\xde"
_HEAD_BYTES = 12
_SUM_BYTES = 4
# A node is cut in two above 8 MiB. To sum up one of this size takes 0.05 s.
_MOST_SUMMED_BYTES = 256 << 10
# The magic number may stand in values by chance, or be written there on purpose.
_MOST_TRIES = 1000
_TAIL_BYTES = 8 << 20


def _table() -> tuple[int, ...]:
    entries = []
    for entry in range(256):
        for _ in range(8):
            entry = entry >> 1 ^ (0x82F63B78 if entry & 1 else 0)
        entries.append(entry)
    return tuple(entries)


_TABLE = _table()


def _crc32c(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def _is_whole(data: bytes) -> bool:
    """Whether a manifest or node of this length has the right checksum."""
    if len(data) > _MOST_SUMMED_BYTES:
        return True
    return _crc32c(data[:-_SUM_BYTES]) == int.from_bytes(data[-_SUM_BYTES:], "little")


def is_manifest(data: bytes) -> bool:
    """Whether these are the first bytes of a manifest."""
    return data.startswith(_MANIFEST)


def check_manifest(fd: int, size: int) -> Check:
    """Check a `manifest.ocdbt`. Raises DamagedError, OSError."""
    data = os.pread(fd, min(size, _TAIL_BYTES), 0)
    if not _MANIFEST.startswith(data[: len(_MANIFEST)]):
        return SeenAtOnce(is_proof=False)
    if len(data) < _HEAD_BYTES + _SUM_BYTES or int.from_bytes(data[4:12], "little") > size:
        raise DamagedError("is cut short")
    if int.from_bytes(data[4:12], "little") == size == len(data) and not _is_whole(data):
        raise DamagedError("does not match its checksum")
    return SeenAtOnce(is_proof=False)


def ends_with_node(fd: int, size: int) -> bool:
    """Whether a data file ends with a whole node, as one does that was written to its end.

    True also if that would take long to tell. Raises OSError.
    """
    begin = max(size - _TAIL_BYTES, 0)
    data = os.pread(fd, size - begin, begin)
    at = data.rfind(_NODE)
    for _ in range(_MOST_TRIES):
        if at < 0:
            return False
        length = int.from_bytes(data[at + 4 : at + _HEAD_BYTES], "little")
        if at + length == len(data) and length > _HEAD_BYTES + _SUM_BYTES:
            return _is_whole(data[at:])
        at = data.rfind(_NODE, 0, at)
    return True
