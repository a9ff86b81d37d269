"""Whether floats are finite, told from their exponent bits; it knows bytes, not tensors.

A float is not finite when all bits of its exponent are set (IEEE 754-2019, 3.4; the 8-bit formats
of https://arxiv.org/abs/2209.05433, and torch's "fnuz" ones, whose only NaN is 0x80).
"""

from typing import NamedTuple

# Fits a core's cache, so that looking at a copy costs one pass over memory.
_BLOCK_BYTES = 256 << 10


class _FiniteBits(NamedTuple):
    """How to tell that a float of one little-endian dtype is not finite.

    `suspicious`: the values that its last byte may have then. `mask`: the bits of the byte before
    it that are then all set; 0 if the last byte alone decides.
    """

    item_bytes: int
    suspicious: bytes
    mask: int = 0


_EXPONENT_5 = bytes((*range(0x7C, 0x80), *range(0xFC, 0x100)))
_SIGNED_7F = b"\x7f\xff"

_LAYOUTS = {
    "float64": _FiniteBits(8, _SIGNED_7F, 0xF0),
    "float32": _FiniteBits(4, _SIGNED_7F, 0x80),
    "bfloat16": _FiniteBits(2, _SIGNED_7F, 0x80),
    "float16": _FiniteBits(2, _EXPONENT_5),
    "complex128": _FiniteBits(8, _SIGNED_7F, 0xF0),
    "complex64": _FiniteBits(4, _SIGNED_7F, 0x80),
    "float8_e4m3fn": _FiniteBits(1, _SIGNED_7F),
    "float8_e5m2": _FiniteBits(1, _EXPONENT_5),
    "float8_e4m3fnuz": _FiniteBits(1, b"\x80"),
    "float8_e5m2fnuz": _FiniteBits(1, b"\x80"),
}


def item_bytes(dtype: str) -> int:
    """The size of one float, of a complex number half of it. Raises ValueError: dtype not known."""
    return _layout(dtype).item_bytes


def scan(view: memoryview, dtype: str) -> bool:
    """Whether all floats in a contiguous view of bytes are finite.

    Raises ValueError for a dtype not known, or bytes that end within an item.
    """
    layout = _layout(dtype)
    if len(view) % layout.item_bytes:
        raise ValueError(f"{len(view)} bytes are no whole number of {dtype}")
    return all(
        _is_finite(bytes(view[start : start + _BLOCK_BYTES]), layout)
        for start in range(0, len(view), _BLOCK_BYTES)
    )


def _layout(dtype: str) -> _FiniteBits:
    layout = _LAYOUTS.get(dtype)
    if layout is None:
        raise ValueError(f"{dtype!r} is no dtype whose floats are known here")
    return layout


def _is_finite(block: bytes, layout: _FiniteBits) -> bool:
    last = block[layout.item_bytes - 1 :: layout.item_bytes]
    if not any(byte in last for byte in layout.suspicious):
        return True
    if not layout.mask:
        return False
    # Both answers as one byte a float, so that a tensor full of huge values costs no loop.
    before = block[layout.item_bytes - 2 :: layout.item_bytes]
    is_suspicious = last.translate(_table(frozenset(layout.suspicious)))
    is_full = before.translate(
        _table(frozenset(byte for byte in range(256) if byte & layout.mask == layout.mask))
    )
    return not int.from_bytes(is_suspicious, "little") & int.from_bytes(is_full, "little")


def _table(members: frozenset[int]) -> bytes:
    return bytes(byte in members for byte in range(256))
