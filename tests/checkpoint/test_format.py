"""The manifest: what is written is read back, and nothing else is accepted."""

import json

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from supervisor.checkpoint.format import (
    FileRecord,
    Kind,
    Manifest,
    ManifestError,
    is_safe_name,
    resembles_manifest,
)

MANIFEST = Manifest(
    step=500,
    epoch=2,
    kind=Kind.EMERGENCY,
    run_id="run",
    attempt=3,
    resumed_from="checkpoint-400",
    wall_time="2026-01-01T00:00:00.000Z",
    world_size=1,
    torch_version="2.13.0",
    finite=True,
    files={
        "model.pt": FileRecord(10, "0" * 32),
        "training_state.json": FileRecord(5, "f" * 32),
    },
)


def test_what_is_written_is_read_back() -> None:
    """All fields of a manifest survive writing and reading."""
    assert Manifest.from_bytes(MANIFEST.to_bytes()) == MANIFEST


@given(st.integers(0, len(MANIFEST.to_bytes()) * 8 - 1))
def test_one_flipped_bit_is_seen(position: int) -> None:
    """The hash at the end covers the whole manifest."""
    data = bytearray(MANIFEST.to_bytes())
    data[position // 8] ^= 1 << (position % 8)
    with pytest.raises(ManifestError):
        Manifest.from_bytes(bytes(data))
    assert resembles_manifest(bytes(data))


@given(st.binary(max_size=400))
def test_garbage_is_no_manifest(data: bytes) -> None:
    """Arbitrary bytes raise ManifestError and nothing else."""
    with pytest.raises(ManifestError):
        Manifest.from_bytes(data)


def sealed(**changes: object) -> bytes:
    """A manifest with a right hash and wrong content, as an attacker could make it."""
    record = json.loads(MANIFEST.to_bytes())
    record.pop("manifest_xxh3_128")
    record.update(changes)
    head = json.dumps(record, indent=1).encode()[:-2] + b',\n "manifest_xxh3_128": "'
    return head + xxhash.xxh3_128_hexdigest(head).encode() + b'"\n}\n'


STATE = {"training_state.json": {"size": 1, "xxh3_128": "0"}}


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"step": "many"},
        {"files": []},
        {"files": {}},
        {"files": {"../outside": {"size": 1, "xxh3_128": "0"}, **STATE}},
        {"files": {"/etc/passwd": {"size": 1, "xxh3_128": "0"}, **STATE}},
        {"files": {"manifest.json": {"size": 1, "xxh3_128": "0"}, **STATE}},
        {"files": {"a": 3, **STATE}},
        {"kind": "fancy"},
    ],
)
def test_a_hostile_manifest_with_a_right_hash_is_refused(changes: dict[str, object]) -> None:
    """Names that lead outside, another format and wrong types are refused despite a right hash."""
    assert Manifest.from_bytes(sealed()) == MANIFEST
    with pytest.raises(ManifestError):
        Manifest.from_bytes(sealed(**changes))


@pytest.mark.parametrize("name", ["", "/a", "a//b", "../a", "a/../b", ".", "a/.", "a\0b"])
def test_names_that_lead_outside(name: str) -> None:
    """None of these names is safe to open."""
    assert not is_safe_name(name)


def test_another_tools_manifest_is_not_ours() -> None:
    """Other programs' files named manifest.json do not count as ours."""
    assert not resembles_manifest(b'{"version": 3, "files": ["a"]}')
    assert not resembles_manifest(b"[1, 2]")
