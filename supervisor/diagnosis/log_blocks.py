"""Reads a log from its end, in blocks of whole lines; it gives the lines no meaning.

It uses reads at offsets and no memory map: a file that is truncated meanwhile gives short reads.
"""

import re
from collections.abc import Callable, Iterator

Read = Callable[[int, int], bytes]
"""Gives up to so many bytes (second) from an offset (first): a short answer is the file's end."""

LINE_BYTES_MAX = 64 << 10
_FIRST_BLOCK_BYTES = 64 << 10
_BLOCK_BYTES = 1 << 20
# Progress bars redraw with \r; each drawing is a line. \r\n is one end.
LINE_END = re.compile(rb"\r\n|\n|\r")


def blocks_from_end(read: Read, begin: int, end: int) -> Iterator[tuple[int, bytes]]:
    """The bytes from `begin` to `end` in blocks of whole lines, the last first, with offsets.

    Blocks grow from 64 KiB to 1 MiB. A line that is longer than a block is cut.
    """
    size, position, rest = _FIRST_BLOCK_BYTES, end, b""
    while position > begin:
        start = max(position - size, begin)
        data = read(start, position - start)[: position - start] + rest
        position, rest = start, b""
        size = min(size * 4, _BLOCK_BYTES)
        if start > begin:
            # The first line may begin in the block before. So it waits, if it is not too long.
            cut = LINE_END.search(data)
            length = len(data) if cut is None else cut.end()
            if length <= LINE_BYTES_MAX:
                rest, data = data[:length], data[length:]
                start += length
        if data:
            yield start, data


def split_lines(data: bytes, *, first: int | None = None, last: int | None = None) -> list[str]:
    """The lines as text, or only so many `first` or `last` ones; each redraw of a bar is a line.

    Bytes that are no UTF-8 are replaced. Lines longer than 64 KiB are cut up.
    """
    if not data:
        return []
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    data = data.removesuffix(b"\n")
    if first is not None:
        pieces = data.split(b"\n", first)[:first]
    elif last is not None:
        pieces = data.rsplit(b"\n", last)[-last:]
    else:
        pieces = data.split(b"\n")
    if len(data) > LINE_BYTES_MAX and any(len(piece) > LINE_BYTES_MAX for piece in pieces):
        pieces = [
            piece[at : at + LINE_BYTES_MAX]
            for piece in pieces
            for at in range(0, max(len(piece), 1), LINE_BYTES_MAX)
        ]
    # A hole left by a truncation under a writer without O_APPEND reads as NULs.
    return [piece.replace(b"\0", b"").decode("utf-8", "replace") for piece in pieces]


def line_around(data: bytes, spot: int) -> tuple[int, int]:
    """Where the line with this byte begins and ends, its line end left out."""
    begin = data.rfind(b"\n", max(spot - LINE_BYTES_MAX, 0), spot) + 1
    begin = begin or max(spot - LINE_BYTES_MAX, 0)
    begin = data.rfind(b"\r", begin, spot) + 1 or begin
    limit = min(spot + LINE_BYTES_MAX, len(data))
    end = data.find(b"\n", spot, limit)
    end = limit if end < 0 else end
    carriage = data.find(b"\r", spot, end)
    return begin, end if carriage < 0 else carriage
