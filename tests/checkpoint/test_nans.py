"""NaN in safetensors weights is seen wherever it stands, and nothing else is taken for it."""

import struct
from pathlib import Path
from random import Random

import pytest

from supervisor.checkpoint.proofs.nans import NanSearch, Tensor
from supervisor.checkpoint.proofs.zip_archive import DamagedError
from supervisor.checkpoint.validate import validate
from tests.checkpoint.conftest import as_json, write_files
from tests.checkpoint.test_structure import safetensors, tensor

# For each dtype: the bytes of an item, the bits of its exponent and of its fraction.
FORMATS = {"F64": (8, 11, 52), "F32": (4, 8, 23), "BF16": (2, 8, 7), "F16": (2, 5, 10),
           "F8_E5M2": (1, 5, 2)}  # fmt: skip


def item(dtype: str, sign: int, exponent: int, fraction: int) -> bytes:
    """The bytes of a float from its fields."""
    size, _, bits = FORMATS[dtype]
    return (sign << 8 * size - 1 | exponent << bits | fraction).to_bytes(size, "little")


def edges(dtype: str, *, nan: bool) -> list[bytes]:
    """All values at an edge: zeros, denormals, one, the largest, infinity; or else kinds of NaN."""
    _, width, bits = FORMATS[dtype]
    full, top = (1 << width) - 1, (1 << bits) - 1
    fractions = {0, 1, top, top >> 1, 1 << bits - 1, 0x5555555555555 & top}
    exponents = {0, 1, full - 1, full >> 1, full} if not nan else {full}
    return [
        item(dtype, sign, exponent, fraction)
        for sign in (0, 1)
        for exponent in sorted(exponents)
        for fraction in sorted(fractions)
        if (exponent == full and fraction != 0) is nan
    ]


def has_nan(data: bytes, dtype: str, *, before: int = 0, chunk: int = 0) -> bool:
    """Whether the search finds NaN in a tensor at byte `before`, fed `chunk` bytes at a time."""
    search = NanSearch([Tensor(before, before + len(data), dtype, "w")])
    stream = memoryview(b"\xff" * before + data + b"\xff" * 9)
    try:
        for at in range(0, len(stream), chunk or len(stream)):
            search.feed(stream[at : at + (chunk or len(stream))])
        search.finish()
    except DamagedError:
        return True
    return False


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize(("before", "chunk"), [(0, 0), (3, 7), (8, 16), (1, 1), (5, 13)])
def test_the_edges_of_each_format(dtype: str, before: int, chunk: int) -> None:
    """Finite edges side by side hold no NaN, and one NaN among them is found in any chunks."""
    good = edges(dtype, nan=False)
    assert not has_nan(b"".join(good * 3), dtype, before=before, chunk=chunk)
    for bad in edges(dtype, nan=True):
        for place in (0, 1, len(good) - 1):
            data = b"".join([*good[:place], bad, *good[place:]])
            assert has_nan(data, dtype, before=before, chunk=chunk), bad


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_all_values_of_sixteen_bits(dtype: str) -> None:
    """For each of the 65,536 values the search agrees with Python."""
    for value in range(1 << 16):
        data = value.to_bytes(2, "little")
        single = struct.unpack("<f", b"\0\0" + data)[0] if dtype == "BF16" else None
        number = struct.unpack("<e", data)[0] if single is None else single
        assert has_nan(data, dtype) is (number != number), value


def test_all_values_of_eight_bits() -> None:
    """E4M3 has no infinity, and its NaN has all exponent and fraction bits set."""
    for value in range(256):
        assert has_nan(bytes([value]), "F8_E4M3") is (value & 0x7F == 0x7F)
        assert has_nan(bytes([value]), "F8_E5M2") is (value & 0x7C == 0x7C and value & 3 != 0)


def test_chunks_of_any_length() -> None:
    """One NaN anywhere in a large tensor is found with chunks of any length."""
    random = Random(5)
    for _ in range(40):
        size = random.choice([2, 4, 8])
        dtype = {2: "BF16", 4: "F32", 8: "F64"}[size]
        count = random.randint(1, 300_000 // size)
        data = bytearray(count * size)
        before, chunk = random.randint(0, 20), random.randint(200, 200_000)
        assert not has_nan(bytes(data), dtype, before=before, chunk=chunk)
        at = random.randrange(count) * size
        data[at : at + size] = item(dtype, 0, (1 << FORMATS[dtype][1]) - 1, 1)
        assert has_nan(bytes(data), dtype, before=before, chunk=chunk)


def weights(dtype: str, *values: bytes, name: str = "layer.1.weight") -> bytes:
    """A safetensors file with a tensor of one zero, then a tensor of these values."""
    size = len(values[0])
    one = b"\0" * size
    header = {
        "before": {"dtype": dtype, "shape": [1], "data_offsets": [0, size]},
        name: {"dtype": dtype, "shape": [len(values)],
               "data_offsets": [size, size + size * len(values)]},
    }  # fmt: skip
    return safetensors(header, one + b"".join(values))


NAN = struct.pack("<f", float("nan"))
INF = struct.pack("<f", float("-inf"))


@pytest.mark.parametrize("name", ["model.safetensors", "unet/diffusion_pytorch_model.safetensors"])
def test_the_reason_names_file_and_tensor(tmp_path: Path, name: str) -> None:
    """Weights with NaN are invalid, and the reason names the file and the tensor."""
    files = {name: weights("F32", INF, NAN), "trainer_state.json": as_json(global_step=5)}
    verdict = validate(write_files(tmp_path / "checkpoint-5", files))
    assert verdict.valid is False
    assert verdict.reason == f"{name} holds NaN in 'layer.1.weight'"


def test_what_is_no_weight_may_be_nan(tmp_path: Path) -> None:
    """NaN is allowed in an optimizer's file or tensor and in integers, -inf in a mask."""
    files = {
        "model.safetensors": weights("F32", INF, INF),
        "optimizer.safetensors": weights("F32", NAN),
        "state.safetensors": weights("F32", NAN, name="optimizer.exp_avg"),
        "ids.safetensors": weights("I32", NAN),
    }
    assert validate(write_files(tmp_path / "checkpoint-5", files)).valid


NAN = struct.pack("<f", float("nan"))


@pytest.mark.parametrize(
    ("name", "shape", "is_damage"),
    [
        ("w", [2], True),
        ("logger.last_loss", [], False),
        ("metric.min", [1], False),
        ("w", [1, 1], False),
        ("exp_avg.w", [2], False),
        ("state.w.exp_avg_sq", [2], False),
        ("w.momentum_buffer", [2], False),
        ("opt.0.mu.dense.kernel", [2], False),
        ("opt/0/nu/dense", [2], False),
        ("encoder.mud.weight", [2], True),
    ],
)
def test_a_number_alone_or_a_moment_is_no_weight(
    tmp_path: Path, name: str, shape: list[int], is_damage: bool
) -> None:
    """NaN in a single number (a loss never measured) or an optimizer's moment is no damage."""
    length = 4
    for extent in shape:
        length *= extent
    entry = {"dtype": "F32", "shape": shape, "data_offsets": [8, 8 + length]}
    header = {"a": tensor(0, 8), name: entry}
    data = safetensors(header, bytes(8) + NAN * (length // 4))
    verdict = validate(write_files(tmp_path / "checkpoint-5", {"model.safetensors": data}))
    assert verdict.valid is not is_damage, verdict.reason
