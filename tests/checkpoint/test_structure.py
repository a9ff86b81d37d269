"""Structural checks of single files: truncation, flips and hostile input, never unpickled."""

import io
import json
import os
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.checkpoint.validate import Validation, validate
from tests.checkpoint.conftest import Files


def check(folder: Path, data: bytes, name: str = "ckpt.pt") -> Validation:
    """The verdict on a single-file checkpoint with this content."""
    path = folder / name
    path.write_bytes(data)
    return validate(path)


@pytest.mark.parametrize(
    ("name", "proof"),
    [("model.pt", "structure"), ("optimizer.pt", "structure"), ("legacy.pt", "files"),
     ("no_crc.pt", "files")],
)  # fmt: skip
def test_what_torch_saves_is_valid(
    tmp_path: Path, torch_files: Files, name: str, proof: str
) -> None:
    """Archives with CRCs have a structural proof; others, and the old format, only a hash."""
    verdict = check(tmp_path, torch_files[name])
    assert (verdict.valid, verdict.proof, verdict.reason) == (True, proof, None)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(position=st.floats(0, 1, exclude_max=True))
def test_a_truncated_archive_is_seen(tmp_path: Path, torch_files: Files, position: float) -> None:
    """An archive that is truncated at any length is invalid."""
    data = torch_files["optimizer.pt"]
    assert check(tmp_path, data[: int(position * len(data))]).valid is False


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_a_flipped_bit_in_a_record_is_seen(
    tmp_path: Path, torch_files: Files, data: st.DataObject
) -> None:
    """Any bit of a record's content, of its name, or of the directory's sizes and CRCs counts."""
    content = bytearray(torch_files["model.pt"])
    archive = zipfile.ZipFile(io.BytesIO(content))
    record = data.draw(st.sampled_from([i for i in archive.infolist() if i.file_size]))
    name_length, extra_length = struct.unpack_from("<2H", content, record.header_offset + 26)
    begin = record.header_offset + 30
    content_at = begin + name_length + extra_length
    directory_at = content.index(b"PK\1\2")
    at = data.draw(
        st.one_of(
            st.integers(begin, begin + name_length - 1),
            st.integers(content_at, content_at + record.file_size - 1),
            st.integers(directory_at + 16, directory_at + 30),
        )
    )
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    assert check(tmp_path, bytes(content)).valid is False


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    name=st.sampled_from(["ckpt.pt", "last.ckpt", "ckpt.safetensors"]),
    head=st.sampled_from([b"", b"PK\3\4", b"PK\5\6", b"\x80\2", b"\x10\0\0\0\0\0\0\0"]),
    body=st.binary(max_size=300),
)
def test_garbage_never_raises(tmp_path: Path, name: str, head: bytes, body: bytes) -> None:
    """Any bytes give a verdict."""
    assert check(tmp_path, head + body, name).valid in (True, False)


def test_a_hostile_pickle_is_not_run(tmp_path: Path) -> None:
    """A hostile pickle is read but not run, as a file of its own and inside an archive."""
    trace = tmp_path / "was_run"

    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {trace}",)

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("a/data.pkl", pickle.dumps(Hostile()))
    check(tmp_path, pickle.dumps(Hostile()))
    check(tmp_path, archive.getvalue())
    assert not trace.exists()


@pytest.mark.parametrize("cut", [1, 30, 130])
def test_a_cut_pickle_is_seen(tmp_path: Path, torch_files: Files, cut: int) -> None:
    """The old format's pickles must reach their STOP."""
    assert check(tmp_path, torch_files["legacy.pt"][:cut]).valid is False


def bomb(declared: int | None = None) -> bytes:
    """An archive with 64 MiB of zeros in 64 KiB, which may declare another size."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as writer:
        writer.writestr("zeros", bytes(64 << 20))
    data = bytearray(buffer.getvalue())
    if declared is not None:
        struct.pack_into("<L", data, data.index(b"PK\1\2") + 24, declared)
    return bytes(data)


@pytest.mark.parametrize(
    ("declared", "valid"), [(None, True), (100, False), (0, False), (0xFFFFFFF0, False)]
)
def test_zip_bombs_take_no_memory(tmp_path: Path, declared: int | None, valid: bool) -> None:
    """Records are inflated piecewise and no further than declared; a wrong size is refused."""
    data = bomb(declared)
    tracemalloc.start()
    try:
        assert check(tmp_path, data).valid is valid
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_overlapping_records_are_refused(tmp_path: Path) -> None:
    """Two directory entries for one record make a better zip bomb: they are refused."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as writer:
        writer.writestr("a", b"1" * 100)
        writer.writestr("b", b"1" * 100)
    data = bytearray(buffer.getvalue())
    second = data.index(b"PK\1\2", data.index(b"PK\1\2") + 1)
    struct.pack_into("<L", data, second + 42, 0)
    verdict = check(tmp_path, bytes(data))
    assert verdict.valid is False
    assert "overlap" in (verdict.reason or "")


def test_zip64_is_read(tmp_path: Path) -> None:
    """Archives beyond 4 GiB have their sizes in the extra field."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as writer, writer.open("a", "w", force_zip64=True) as file:
        file.write(b"content")
    data = bytearray(buffer.getvalue())
    at = data.index(b"PK\1\2")
    name, extra = data[at + 46 : at + 47], struct.pack("<2H2Q", 1, 16, 7, 7)
    entry = bytearray(data[at : at + 46])
    struct.pack_into("<2L2H", entry, 20, 0xFFFFFFFF, 0xFFFFFFFF, 1, len(extra))
    directory = bytes(entry) + bytes(name) + extra
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(directory), at, 0)
    assert check(tmp_path, bytes(data[:at]) + directory + end).valid


def safetensors(header: object, body: bytes) -> bytes:
    """A safetensors file with this header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def tensor(begin: int, end: int, shape: list[int] | None = None) -> dict[str, object]:
    """A float32 tensor's entry in a header."""
    return {
        "dtype": "F32",
        "shape": [(end - begin) // 4] if shape is None else shape,
        "data_offsets": [begin, end],
    }


@pytest.mark.parametrize(
    ("data", "valid"),
    [
        (safetensors({"a": tensor(0, 8), "b": tensor(8, 16)}, bytes(16)), True),
        (safetensors({"__metadata__": {"a": "b"}, "e": tensor(0, 0)}, b""), True),
        (safetensors({"a": tensor(0, 8), "b": tensor(8, 16)}, bytes(15)), False),
        (safetensors({"a": tensor(0, 8), "b": tensor(8, 16)}, bytes(17)), False),
        (safetensors({"a": tensor(0, 8), "b": tensor(4, 12)}, bytes(12)), False),
        (safetensors({"a": tensor(4, 12)}, bytes(12)), False),
        (safetensors({"a": tensor(0, 8, [3])}, bytes(8)), False),
        (safetensors({"a": {}}, b""), False),
        (safetensors(b"[" * 100_000, b""), False),
        (safetensors(b"not json", b""), False),
        (struct.pack("<Q", 1 << 60) + b"{}", False),
        (b"\0\0", False),
    ],
)
def test_safetensors(tmp_path: Path, data: bytes, valid: bool) -> None:
    """A safetensors file is valid if its header is JSON and its tensors fill the file exactly."""
    verdict = check(tmp_path, data, "ckpt.safetensors")
    assert verdict.valid is valid
    assert (verdict.proof == "structure") is True


def test_a_huge_header_costs_nothing(tmp_path: Path) -> None:
    """A header of 90 MB is not parsed."""
    path = tmp_path / "ckpt.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 90_000_000))
        file.truncate(100_000_000)
    tracemalloc.start()
    try:
        verdict = validate(path)
        assert tracemalloc.get_traced_memory()[1] < 12 << 20
    finally:
        tracemalloc.stop()
    assert verdict.proof == "files"


def field_of_last_entry(data: bytes, at: int, value: bytes) -> bytes:
    """The archive with bytes of the last entry of its central directory exchanged."""
    entry = data.rindex(b"PK\1\2") + at
    return data[:entry] + value + data[entry + len(value) :]


@pytest.mark.parametrize(
    ("at", "value"),
    [(8, b"\x20\x08"), (8, b"\x40\x08"), (8, b"\x00\x28"), (34, b"\1\0"), (38, b"\x10\0\0\0")],
    ids=["patch", "strong encryption", "masked", "another disk", "directory"],
)
def test_flags_that_torch_obeys_are_seen(
    tmp_path: Path, torch_files: Files, at: int, value: bytes
) -> None:
    """These flags make torch refuse the file, or return unwritten bytes, despite right CRCs."""
    data = torch_files["model.pt"]
    assert check(tmp_path, data).valid
    verdict = check(tmp_path, field_of_last_entry(data, at, value))
    assert (verdict.valid, verdict.proof) == (False, "structure")


@pytest.mark.parametrize(
    ("mark", "at"),
    [(b"PK\6\6", 4), (b"PK\6\6", 16), (b"PK\6\6", 20), (b"PK\6\6", 24), (b"PK\6\7", 16)],
)
def test_a_part_of_an_archive_is_none(
    tmp_path: Path, torch_files: Files, mark: bytes, at: int
) -> None:
    """An end record of another disk, or with another count of records, makes a file invalid."""
    data = bytearray(torch_files["model.pt"])
    data[data.rindex(mark) + at] ^= 2
    assert check(tmp_path, bytes(data)).valid is False


def test_an_old_string_with_an_odd_escape_warns_nobody(tmp_path: Path) -> None:
    """The standard library warns of `\\>` in protocol 0 as of a programmer's mistake; we do not."""
    verdict = check(tmp_path, b"\x80\2S'a\\>b'\n.", "ckpt.pt")
    assert verdict.valid
