"""Finds NaN among the floats of a file, by their bits; infinite floats are accepted.

A float is NaN if all bits of its exponent and at least one bit of its fraction are set (IEEE
754-2019, 3.4; the 8-bit formats of https://arxiv.org/abs/2209.05433). `memory/finite_floats.py`
accepts no infinite float.
"""

from bisect import bisect_right
from functools import cache
from typing import NamedTuple

from supervisor.checkpoint.proofs.zip_archive import DamagedError

# A block fits a core's cache, so that searching a copy of it costs one pass over memory.
_BLOCK_BYTES = 256 << 10


class _NanBits(NamedTuple):
    """Where a little-endian dtype has its exponent and its fraction.

    Each is a pair of masks, for the last byte of a float and for the byte before that. All bits of
    the other bytes belong to the fraction.
    """

    item_bytes: int
    exponent: tuple[int, int]
    fraction: tuple[int, int]

    @property
    def suspicious(self) -> bytes:
        """Values of the last byte with which a float may be NaN."""
        mask = self.exponent[0]
        return bytes(byte for byte in range(256) if byte & mask == mask)


_SINGLE = _NanBits(4, (0x7F, 0x80), (0, 0x7F))
_LAYOUTS = {
    "F64": _NanBits(8, (0x7F, 0xF0), (0, 0x0F)),
    "F32": _SINGLE,
    "C64": _SINGLE,
    "BF16": _NanBits(2, (0x7F, 0x80), (0, 0x7F)),
    "F16": _NanBits(2, (0x7C, 0), (0x03, 0xFF)),
    # This dtype has no infinity. In its NaN all bits but the sign are set.
    "F8_E4M3": _NanBits(1, (0x7F, 0), (0x07, 0)),
    "F8_E5M2": _NanBits(1, (0x7C, 0), (0x03, 0)),
}
_SUSPICIOUS = {dtype: layout.suspicious for dtype, layout in _LAYOUTS.items()}


class Tensor(NamedTuple):
    """A tensor of a safetensors file: its range of bytes, its dtype and its name."""

    begin: int
    end: int
    dtype: str
    name: str


class NanSearch:
    """Searches a file's weights for NaN. The file is fed in chunks of any length."""

    def __init__(self, tensors: list[Tensor]) -> None:
        self._tensors = sorted(one for one in tensors if one.dtype in _LAYOUTS)
        # Neighbours of one dtype are searched as one run, because most tensors are small.
        runs: list[Tensor] = []
        for one in self._tensors:
            if runs and runs[-1].end == one.begin and runs[-1].dtype == one.dtype:
                runs[-1] = runs[-1]._replace(end=one.end)
            else:
                runs.append(one)
        self._ahead = runs[::-1]
        self._offset = 0
        self._carry = b""
        self.is_proof = True

    def feed(self, chunk: memoryview) -> None:
        """Take the next bytes of the file. Raises DamagedError."""
        begin, end = self._offset, self._offset + len(chunk)
        while self._ahead and self._ahead[-1].begin < end:
            run = self._ahead[-1]
            piece = chunk[max(run.begin - begin, 0) : min(run.end, end) - begin]
            self._look(run, max(run.begin, begin), piece)
            if run.end > end:
                break
            self._ahead.pop()
        self._offset = end

    def finish(self) -> None:
        """Say that the file has ended. Raises DamagedError."""
        if self._ahead:
            raise DamagedError("ended while it was being read")

    def _look(self, run: Tensor, at: int, piece: memoryview) -> None:
        """Search a piece of a run. It begins at offset `at` of the file, maybe within a float."""
        size = _LAYOUTS[run.dtype].item_bytes
        before = (at - run.begin) % size
        if before:
            self._carry += piece[: size - before]
            if len(self._carry) < size:
                return
            self._look_at_block(run.dtype, at - before, self._carry)
            piece, at = piece[size - before :], at + size - before
        whole = len(piece) - len(piece) % size
        for start in range(0, whole, _BLOCK_BYTES):
            block = bytes(piece[start : min(start + _BLOCK_BYTES, whole)])
            self._look_at_block(run.dtype, at + start, block)
        self._carry = bytes(piece[whole:])

    def _look_at_block(self, dtype: str, at: int, block: bytes) -> None:
        size = _LAYOUTS[dtype].item_bytes
        last = block[size - 1 :: size]
        if not any(byte in last for byte in _SUSPICIOUS[dtype]):
            return
        found = _find_nans(block, _LAYOUTS[dtype])
        if found:
            first = at + ((found & -found).bit_length() - 1) // 8 * size
            index = bisect_right(self._tensors, first, key=lambda one: one.begin) - 1
            raise DamagedError(f"holds NaN in {self._tensors[index].name[:80]!a}")


def _find_nans(block: bytes, layout: _NanBits) -> int:
    """A number in which the lowest bit of byte n is set if float n is NaN.

    All floats are tested at once, so that a tensor full of -inf (a mask) costs no loop over floats.
    """
    size = layout.item_bytes
    found = _bits(block[size - 1 :: size], layout.exponent[0], is_all=True)
    if size > 1 and layout.exponent[1]:
        found &= _bits(block[size - 2 :: size], layout.exponent[1], is_all=True)
    if not found:
        return 0
    masks = [0xFF] * size
    masks[-1] = layout.fraction[0]
    if size > 1:
        masks[-2] = layout.fraction[1]
    fraction = 0
    for index, mask in enumerate(masks):
        if mask:
            fraction |= _bits(block[index::size], mask, is_all=False)
    return found & fraction


def _bits(column: bytes, mask: int, *, is_all: bool) -> int:
    return int.from_bytes(column.translate(_table(mask, is_all)), "little")


@cache
def _table(mask: int, is_all: bool) -> bytes:
    return bytes((byte & mask == mask) if is_all else bool(byte & mask) for byte in range(256))
