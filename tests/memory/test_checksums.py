"""Filling in CRCs: right for each archive that torch lays out, refused for anything else."""

import io
import os
import random
import struct
import zipfile
from pathlib import Path

import pytest
import torch

from supervisor.memory.checksums import Checksums, DamagedError
from tests.memory.conftest import write_in_place


def filled(path: Path, chunk_bytes: int) -> bytes:
    """The archive after streaming it in chunks of this size. Raises DamagedError."""
    data = bytearray(path.read_bytes())
    with path.open("rb") as file:
        checksums = Checksums(file.fileno(), len(data))
    view = memoryview(data)
    for begin in range(0, len(data), chunk_bytes):
        checksums.fill(view[begin : begin + chunk_bytes], begin)
    checksums.finish()
    return bytes(data)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive as torch lays it out under `skip_data`, with its data in place."""
    path = tmp_path / "model.pt"
    state = {"a": torch.randn(999), "b": torch.ones(3).bfloat16(), "c": torch.zeros(0)}
    write_in_place(path, state)
    return path


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 7, 64, 1000, 1 << 20])
def test_every_crc_comes_right(archive: Path, chunk_bytes: int) -> None:
    """One pass fills all CRCs, in chunks of any size, also chunks that split a CRC."""
    with zipfile.ZipFile(archive) as before:
        assert before.testzip() == "model/data/0"
    with zipfile.ZipFile(io.BytesIO(filled(archive, chunk_bytes))) as after:
        assert after.testzip() is None
        described = [entry for entry in after.infolist() if entry.flag_bits & 8]
        assert len(described) > 5
    raw = filled(archive, chunk_bytes)
    for entry in described:
        name, extra = struct.unpack_from("<2H", raw, entry.header_offset + 26)
        end = entry.header_offset + 30 + name + extra + entry.file_size
        assert struct.unpack_from("<4sL", raw, end) == (b"PK\7\10", entry.CRC)


def test_only_the_crcs_change(archive: Path) -> None:
    """The result equals `torch.save`'s own file, except for its serialization id."""
    whole = archive.with_name("whole.pt")
    torch.save(torch.load(archive, weights_only=True), whole)
    assert filled(whole, 100) == whole.read_bytes()
    before, after = archive.read_bytes(), filled(archive, 100)
    changed = sum(one != other for one, other in zip(before, after, strict=True))
    assert 0 < changed <= 16


def test_records_beyond_four_gigabytes(tmp_path: Path) -> None:
    """Large archives have zip64 sizes and offsets; the test's file is sparse."""
    path = tmp_path / "large.pt"
    with torch.serialization.skip_data():
        # This touches neither the memory nor the disk.
        storage = torch.empty((1 << 32) + 64, dtype=torch.uint8)
        torch.save({"a": storage, "b": torch.empty(5)}, path)
    size = path.stat().st_size
    assert size > 1 << 32
    with path.open("rb") as file:
        checksums = Checksums(file.fileno(), size)
    assert checksums


def write_zip(path: Path, method: int = zipfile.ZIP_STORED) -> Path:
    """Write an archive as Python does to a seekable file: with CRCs in front of the data."""
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("archive/data.pkl", b"a" * 1000)
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_torch_does_not_write_is_refused(tmp_path: Path, method: int) -> None:
    """Compressed records are refused, and so are CRCs that stand before their data."""
    with pytest.raises(DamagedError, match=r"compressed|before its data"):
        filled(write_zip(tmp_path / "x.pt", method), 100)


def test_a_record_without_its_descriptor(archive: Path) -> None:
    """The flag promises a descriptor, and the bytes have none."""
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\7\10")] = 0
    archive.write_bytes(data)
    with pytest.raises(DamagedError, match="descriptor"):
        filled(archive, 100)


def test_damage_is_refused_or_harmless(archive: Path) -> None:
    """Truncation or changed bytes give a DamagedError or a file, and no other error."""
    chance = random.Random(3)
    good = archive.read_bytes()
    refused = 0
    for _ in range(600):
        data = bytearray(good)
        if chance.random() < 0.3:
            del data[chance.randrange(len(data)) :]
        for _ in range(chance.randrange(1, 6)):
            # Damage in the directory at the end does most harm.
            at = len(data) - 1 - int(chance.random() ** 3 * (len(data) - 1))
            data[at : at + 1] = bytes([chance.choice((0, 0xFF, chance.randrange(256)))])
        archive.write_bytes(data)
        try:
            filled(archive, chance.choice((13, 4096)))
        except DamagedError:
            refused += 1
    assert 100 < refused < 600


@pytest.mark.parametrize("data", [b"", b"PK", b"garbage" * 1000, bytes(1 << 16), os.urandom(5000)])
def test_what_is_no_archive(tmp_path: Path, data: bytes) -> None:
    """Bytes that are no archive raise DamagedError."""
    path = tmp_path / "x.pt"
    path.write_bytes(data)
    with pytest.raises(DamagedError):
        filled(path, 100)


def test_an_archive_that_ends_early(archive: Path) -> None:
    """The stream ends before the size that the directory promised."""
    data = bytearray(archive.read_bytes())
    with archive.open("rb") as file:
        checksums = Checksums(file.fileno(), len(data))
    checksums.fill(memoryview(data)[:500], 0)
    with pytest.raises(DamagedError, match="ended"):
        checksums.finish()
