"""Finite or not by exponent bits: the same answer as torch's, for every dtype."""

import struct

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from supervisor.memory.finite_floats import item_bytes, scan

DTYPES = [
    "float64",
    "float32",
    "bfloat16",
    "float16",
    "complex128",
    "complex64",
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
]
SMALL = [name for name in DTYPES if "float8" in name or name in ("bfloat16", "float16")]
LARGEST = [name for name in DTYPES if "complex" not in name]


def is_finite(data: bytes, dtype: str) -> bool:
    """Whether torch finds all values in these bytes finite."""
    kind = getattr(torch, dtype)
    tensor = torch.frombuffer(bytearray(data), dtype=kind)
    wide = tensor if kind.is_complex else tensor.double()
    return bool(torch.isfinite(wide).all())


def bits(tensor: torch.Tensor) -> bytes:
    """A tensor's bytes."""
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("dtype", SMALL)
def test_every_value_of_a_small_float(dtype: str) -> None:
    """All 256 or 65536 values are judged as by torch, each between two zeros."""
    size = item_bytes(dtype)
    zero = bytes(size)
    for value in range(256**size):
        data = zero + value.to_bytes(size, "little") + zero
        assert scan(memoryview(data), dtype) == is_finite(data, dtype), hex(value)


# The last bytes of an item decide, so they are drawn from values near infinity.
NEAR = st.sampled_from([0x7E, 0x7F, 0x80, 0xEF, 0xF0, 0xF1, 0xFE, 0xFF, 0x00, 0x6F, 0x70])


@given(st.lists(st.binary(min_size=14, max_size=14), max_size=4), NEAR, NEAR, st.data())
@pytest.mark.parametrize("dtype", DTYPES)
def test_any_bytes(
    dtype: str, items: list[bytes], before: int, last: int, data: st.DataObject
) -> None:
    """Random bits, and bits at the edge of infinity, are judged as by torch."""
    edge = bytes(14) + bytes([before, last])
    whole = [item + item[:2] for item in items]
    whole.insert(data.draw(st.integers(0, len(items))), edge)
    raw = b"".join(whole)
    assert scan(memoryview(raw), dtype) == is_finite(raw, dtype)


@given(st.lists(st.floats(width=32), min_size=1))
@example([3.4028234663852886e38, -3.4028234663852886e38])
def test_single_precision(values: list[float]) -> None:
    """NaN of any payload, infinities, subnormals and the largest values are judged as by torch."""
    raw = struct.pack(f"<{len(values)}f", *values)
    assert scan(memoryview(raw), "float32") == is_finite(raw, "float32")


@pytest.mark.parametrize("dtype", LARGEST)
def test_huge_values_are_finite(dtype: str) -> None:
    """A tensor of several blocks with the largest value, in both signs, is finite."""
    largest = torch.finfo(getattr(torch, dtype)).max
    tensor = torch.full((300_000,), largest, dtype=torch.float64)
    tensor[1::2] *= -1
    raw = bits(tensor.to(getattr(torch, dtype)))
    assert scan(memoryview(raw), dtype)


@pytest.mark.parametrize("place", [0, 65535, 65536, 299_999])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_one_bad_value_among_many(place: int, value: float) -> None:
    """One bad value is found first, last, and on both sides of a block's border."""
    tensor = torch.full((300_000,), 3e38)
    tensor[place] = value
    assert not scan(memoryview(bits(tensor)), "float32")


def test_nothing_is_finite() -> None:
    """An empty tensor has no bad value."""
    assert all(scan(memoryview(b""), dtype) for dtype in DTYPES)


def test_what_cannot_be_scanned() -> None:
    """Half an item, or a dtype without an exponent, raises ValueError."""
    with pytest.raises(ValueError, match="whole number"):
        scan(memoryview(bytes(7)), "float32")
    with pytest.raises(ValueError, match="int64"):
        scan(memoryview(bytes(8)), "int64")
