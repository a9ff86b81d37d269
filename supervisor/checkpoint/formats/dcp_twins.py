"""Finds DCP shards of another save: they have a sibling shard's bytes, and the wrong time.

The shards of all saves of a model have the same size, and nothing in a shard says which save it is
of.
"""

import os
from collections.abc import Iterable

from supervisor.checkpoint.digest import digest, open_inside
from supervisor.checkpoint.formats.dcp_shards import metadata_of
from supervisor.checkpoint.listing import FileFacts, FileListing, open_root
from supervisor.checkpoint.suffixes import SHARD_SUFFIX


def find_twin(stock: FileListing, neighbours: Iterable[FileListing]) -> str | None:
    """A sentence on a shard of another save in place of this save's own; None if there is none.

    DCP writes a shard after the previous save was complete, and before the metadata of its own
    save. A shard with any other time is compared with the neighbours' shards of the same name.
    Equal bytes alone are no proof: frozen weights are equal in every save, but their times are
    right. A copy that does not keep times makes all times wrong, but not all of its shards equal
    the neighbour's. Raises OSError.
    """
    for other in neighbours:
        suspicious = _suspicious(stock, other)
        name = next((one for one in suspicious if _is_twin(one, stock, other)), None)
        if name is None:
            continue
        is_copy = len(suspicious) == len(_shards(stock))
        if not is_copy or all(_is_twin(one, stock, other) for one in suspicious):
            return f"{name} is the same as in {other.path.name}: it belongs to another save"
    return None


def _suspicious(stock: FileListing, other: FileListing) -> list[str]:
    """The shards with a time that no shard of this save can have, compared with another save.

    There are none if the other save is a copy whose own times are wrong.
    """
    theirs = frozenset(_shards(other))
    if any(_is_late(other, name) for name in theirs):
        return []
    found = []
    for name in _shards(stock):
        own, others = _ended(stock, name), _ended(other, name)
        if own is None or others is None or name not in theirs:
            continue
        is_early = others.mtime_ns < own.mtime_ns and stock.files[name].mtime_ns <= others.mtime_ns
        if _is_late(stock, name) or is_early:
            found.append(name)
    return found


def _shards(stock: FileListing) -> list[str]:
    """The shards that are not empty. A rank with nothing to write leaves an empty shard."""
    return [name for name, it in stock.files.items() if name.endswith(SHARD_SUFFIX) and it.size]


def _ended(stock: FileListing, shard: str) -> FileFacts | None:
    """The metadata file that DCP writes after a shard: of all ranks, or of the shard's own rank."""
    return next((stock.files[name] for name in metadata_of(shard) if name in stock.files), None)


def _is_late(stock: FileListing, shard: str) -> bool:
    ended = _ended(stock, shard)
    return ended is not None and stock.files[shard].mtime_ns > ended.mtime_ns


def _is_twin(name: str, stock: FileListing, other: FileListing) -> bool:
    is_as_long = stock.files[name].size == other.files[name].size
    return is_as_long and _digest(stock, name) == _digest(other, name)


def _digest(stock: FileListing, name: str) -> str:
    with open_root(stock) as root_fd:
        fd = open_inside(root_fd, name)
        try:
            return digest(fd)[1]
        finally:
            os.close(fd)
