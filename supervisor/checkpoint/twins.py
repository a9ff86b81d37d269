"""DCP shards that are of another save: the bytes of a sibling's shard, written at the wrong time.

Saves of one model have shards of one size, and nothing in a shard tells which save it is of.
"""

import os
from collections.abc import Iterable

from supervisor.checkpoint.digest import digest, open_inside
from supervisor.checkpoint.family import Member
from supervisor.checkpoint.stock import Stock, open_root

_METADATA = ".metadata"
_SHARD = ".distcp"


def find_twin(member: Member, neighbours: Iterable[Member]) -> str | None:
    """What is wrong with a shard that was put in place of its own; None where none is.

    A shard of its own save is written after the save before was complete, and before its own
    `.metadata`. One with another time is compared with the neighbours' of its name: weights that
    are frozen are equal in every save, but their times are right. Raises OSError.
    """
    for other in neighbours:
        for name in _suspicious(member.stock, other.stock):
            if _digest(member.stock, name) == _digest(other.stock, name):
                return f"{name} is the one of {other.stock.path.name}: it is of another save"
    return None


def _suspicious(stock: Stock, other: Stock) -> list[str]:
    """Shards of one size with the other's, with a time that no shard of this save has."""
    found = []
    for name, facts in stock.files.items():
        folder, slash, leaf = name.rpartition("/")
        twin = other.files.get(name)
        own, others = (s.files.get(f"{folder}{slash}{_METADATA}") for s in (stock, other))
        if not leaf.endswith(_SHARD) or None in (twin, own, others) or not facts.size:
            continue
        assert twin is not None
        assert own is not None
        assert others is not None
        is_late = facts.mtime_ns > own.mtime_ns
        is_early = others.mtime_ns < own.mtime_ns and facts.mtime_ns <= others.mtime_ns
        if twin.size == facts.size and (is_late or is_early):
            found.append(name)
    return found


def _digest(stock: Stock, name: str) -> str:
    with open_root(stock) as root_fd:
        fd = open_inside(root_fd, name)
        try:
            return digest(fd)[1]
        finally:
            os.close(fd)
