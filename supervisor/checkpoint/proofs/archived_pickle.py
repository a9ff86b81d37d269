"""Reads the pickle in a zip archive of torch.save, as bytes. It must never unpickle them."""

import os
import zlib
from collections.abc import Iterable

from supervisor.checkpoint.digest import open_inside
from supervisor.checkpoint.listing import FileListing, open_root
from supervisor.checkpoint.proofs.zip_archive import ArchiveRecord, DamagedError, read_records

_MOST_PICKLE_BYTES = 16 << 20
_DEFLATED = 8


def read_archived_pickle(stock: FileListing, name: str) -> bytes:
    """The bytes of a file's pickle; empty if the file is no whole archive or has no pickle.

    They are also empty if the pickle is larger than 16 MiB. They may be cut short or damaged.
    Raises OSError.
    """
    facts = stock.files.get(name)
    if facts is None or not facts.is_regular:
        return b""
    with open_root(stock) as root_fd, open(open_inside(root_fd, name), "rb", buffering=0) as file:
        fd = file.fileno()
        if not os.pread(fd, 2, 0).startswith(b"PK"):
            return b""
        try:
            return _pickle_of(fd, read_records(fd, os.fstat(fd).st_size))
        except (DamagedError, zlib.error):
            return b""


def _pickle_of(fd: int, records: Iterable[ArchiveRecord]) -> bytes:
    for record in records:
        is_pickle = record.name.rpartition(b"/")[2] == b"data.pkl"
        if not is_pickle or record.name.count(b"/") > 1 or record.size > _MOST_PICKLE_BYTES:
            continue
        data = os.pread(fd, min(record.end - record.start, _MOST_PICKLE_BYTES), record.start)
        if record.method != _DEFLATED:
            return data
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, _MOST_PICKLE_BYTES)
    return b""
