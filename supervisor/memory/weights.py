"""Which bytes of a snapshot are weights, as its writer says, and whether those are finite."""

import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

from supervisor.checkpoint.proofs.bounded_json import parse
from supervisor.memory.finite_floats import item_bytes, scan
from supervisor.memory.persister_status import read_small
from supervisor.memory.slots import SlotPaths

_MOST_BYTES = 32 << 20


class Range(NamedTuple):
    """Floats of one dtype that lie together in a file; `offset` and `end` in bytes."""

    offset: int
    end: int
    dtype: str


Weights = dict[str, tuple[Range, ...]]


def read_weights(slot: SlotPaths, sizes: Mapping[str, int]) -> Weights:
    """The weights of each file by its name; empty if it is unknown which bytes they are.

    `sizes` are those of the snapshot's files in bytes. A range that ends beyond its file shows that
    the slot's ranges are of another snapshot: then the answer is empty, too.
    """
    raw = read_small(slot.weights, _MOST_BYTES)
    if raw is None:
        return {}
    try:
        weights = {
            name: tuple(sorted({_parse(*one) for one in ranges}))
            for name, ranges in parse(raw)["files"].items()
            if ranges
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}
    fits = all(one.end <= sizes.get(name, -1) for name, ranges in weights.items() for one in ranges)
    return weights if fits else {}


def _parse(dtype: object, offset: object, length: object) -> Range:
    if not isinstance(dtype, str) or type(offset) is not int or type(length) is not int:
        raise TypeError
    size = item_bytes(dtype)
    if offset < 0 or length < 0 or offset % size or length % size:
        raise ValueError
    return Range(offset, offset + length, dtype)


def reason(name: str) -> str:
    """Say in words that a file's weights are not finite."""
    return f"{name} holds weights that are NaN or infinite"


class FiniteStream:
    """Looks at the weights of one file as it streams by, in chunks that split no float."""

    def __init__(self, ranges: tuple[Range, ...]) -> None:
        self.is_finite = True
        self._ahead = sorted(ranges, reverse=True)
        self._inside: list[Range] = []

    def feed(self, chunk: memoryview, begin: int) -> None:
        """Take the chunk that begins at that offset; all but the last a multiple of 8 bytes."""
        end = begin + len(chunk)
        while self._ahead and self._ahead[-1].offset < end:
            self._inside.append(self._ahead.pop())
        for one in self._inside:
            piece = chunk[max(one.offset - begin, 0) : min(one.end, end) - begin]
            self.is_finite = self.is_finite and scan(piece, one.dtype)
        self._inside = [one for one in self._inside if one.end > end]


def scan_range(fd: int, one: Range, buffer: memoryview, pause: Callable[[], None]) -> bool | None:
    """Whether the floats in a range of a file are finite; None if it ends before they do.

    It reads into `buffer` (a multiple of 8 bytes), and calls `pause` before each read: what that
    raises goes through. Raises OSError.
    """
    position = one.offset
    while position < one.end:
        pause()
        piece = buffer[: one.end - position]
        count = os.preadv(fd, [piece], position)
        count -= count % item_bytes(one.dtype)
        if count == 0:
            return None
        if not scan(piece[:count], one.dtype):
            return False
        position += count
    return True
