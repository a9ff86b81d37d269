"""MessagePack, UBJSON and OCDBT: whole files pass, cut ones do not, and no bytes break the walk."""

import os
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.checkpoint.proofs.file_check import Check
from supervisor.checkpoint.proofs.ocdbt import check_manifest, ends_with_node
from supervisor.checkpoint.proofs.self_delimiting import check_msgpack, check_ubjson
from supervisor.checkpoint.proofs.zip_archive import DamagedError

CheckFile = Callable[[int, int], Check]
MAP = b"\x86\xa1a\x01\xa1b\xc0\xa1c\xcb" + bytes(8) + b"\xa1d\xc5\x01\x00" + b"w" * 256
MAP += (
    b"\xa1e\x93\x01\xd1\x01\x02\xd6\x05" + bytes(4) + b"\xa1f\xde\x00\x01\xd9\x01k\xc7\x03\x01abc"
)
OBJECT = (
    b"{i\x01aSi\x03abci\x01b[$d#l\x00\x00\x00\x02" + bytes(8) + b"i\x01c[#i\x02TFi\x01d{i\x01xZ}"
)
OBJECT += b"i\x01e[i\x05[]]i\x01fL" + bytes(8) + b"}"
KINDS: list[tuple[CheckFile, bytes]] = [(check_msgpack, MAP), (check_ubjson, OBJECT)]


def proven(check: CheckFile, data: bytes, folder: Path) -> bool | None:
    """Whether a file is proven; None if it is damaged."""
    path = folder / "file"
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        return check(fd, len(data)).is_proof
    except DamagedError:
        return None
    finally:
        os.close(fd)


@pytest.mark.parametrize(("check", "data"), KINDS)
def test_a_whole_file_is_proven_and_a_cut_one_is_not(
    tmp_path: Path, check: CheckFile, data: bytes
) -> None:
    """Each length below the whole one is damage."""
    assert proven(check, data, tmp_path) is True
    assert [proven(check, data[:length], tmp_path) for length in range(1, len(data))] == (
        [None] * (len(data) - 1)
    )


@pytest.mark.parametrize(("check", "data"), KINDS)
def test_no_bytes_break_the_walk(tmp_path: Path, check: CheckFile, data: bytes) -> None:
    """Random damage gives a verdict, and never another error."""
    random_source = random.Random(7)
    for _ in range(2000):
        changed = bytearray(data)
        for _ in range(random_source.randrange(1, 5)):
            changed[random_source.randrange(len(changed))] = random_source.randrange(256)
        proven(check, bytes(changed), tmp_path)


@pytest.mark.parametrize(
    ("check", "data"),
    [
        (check_msgpack, b"\x81\xa1a\xdd\xff\xff\xff\xff" + b"\x90" * (2 << 20)),
        (check_ubjson, b"{i\x01a" + b"[" * (2 << 20)),
    ],
)
def test_a_file_of_millions_of_values_takes_no_minutes(
    tmp_path: Path, check: CheckFile, data: bytes
) -> None:
    """Such a file stays unproven after a bounded time."""
    begun = time.process_time()
    assert proven(check, data, tmp_path) is False
    assert time.process_time() - begun < 10.0


@pytest.mark.parametrize(
    "data", [b"\x80\x04\x95\x10", b"{}", b"{\n  1}", b"raw bytes", b"\x82\x01\x02"]
)
def test_other_content_proves_nothing(tmp_path: Path, data: bytes) -> None:
    """A pickle, JSON and raw bytes are none of these, so they are no damage."""
    assert proven(check_msgpack, data, tmp_path) is False
    assert proven(check_ubjson, data, tmp_path) is False


def test_a_node_in_the_middle_does_not_end_a_file(tmp_path: Path) -> None:
    """The magic number of a node may stand in values: only a node that ends the file counts."""
    node = b"\x0c\xdb\x20\xde"
    path = tmp_path / "d"
    path.write_bytes(node + struct.pack("<Q", 40) + bytes(100))
    with path.open("rb") as file:
        assert not ends_with_node(file.fileno(), 112)
    path.write_bytes(node * 3_000_000)
    begun = time.process_time()
    with path.open("rb") as file:
        ends_with_node(file.fileno(), 12_000_000)
    assert time.process_time() - begun < 2.0


def test_a_manifest_of_another_kind_proves_nothing(tmp_path: Path) -> None:
    """Only a file with the magic number, or the beginning of it, can be a cut manifest."""
    assert proven(check_manifest, b"{}", tmp_path) is False
    assert proven(check_manifest, b"\x0c\xdb", tmp_path) is None
