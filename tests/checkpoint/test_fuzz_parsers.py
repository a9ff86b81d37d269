"""Every parser of bytes from a checkpoint or a slot returns a value or raises its own error."""

import json
import struct
import tempfile
from binascii import crc32
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from supervisor.checkpoint.digest import digest
from supervisor.checkpoint.format import (
    FileRecord,
    Kind,
    Manifest,
    ManifestError,
    is_safe_name,
    resembles_manifest,
)
from supervisor.checkpoint.named_listing import list_files
from supervisor.checkpoint.names import parse_name
from supervisor.checkpoint.position import read_position
from supervisor.checkpoint.proofs.bounded_json import parse
from supervisor.checkpoint.structure import DamagedError, inspect
from supervisor.memory import persist_request
from supervisor.memory.persister_status import read_board
from supervisor.memory.queue import newer_on_disk, next_unvetted, next_wanted
from supervisor.memory.seal import SEAL_BYTES, SlotState, Snapshot
from supervisor.memory.seal import parse as parse_seal
from supervisor.memory.slots import SnapshotPaths, read_whole
from supervisor.memory.snapshot_proof import read_verdict, vet
from supervisor.memory.weights import read_weights
from tests.checkpoint.conftest import write_snapshot
from tests.checkpoint.fuzzing import TIME_LIMIT_S, examples

pytestmark = pytest.mark.timeout(TIME_LIMIT_S)

scalars = (
    st.none() | st.booleans() | st.integers() | st.integers(-2, 2) | st.floats()
    | st.text(max_size=8) | st.sampled_from([float("inf"), float("nan")])
    | st.sampled_from(["..", "/", "a/../b", "\0", "\ud800", 10**30, -1, 1 << 63, 1e300, ""])
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=6) | st.sampled_from(["files", "sequence"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
texts = st.one_of(
    values.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=200),
    st.sampled_from(
        [b"[" * 100_000, b'{"a":' * 50_000, b"1" * 5000, b"\xff\xfe[\0]\0", b"-Infinity"]
    ),
)
MANIFEST = Manifest(
    step=5,
    epoch=0,
    kind=Kind.PERIODIC,
    run_id="run",
    attempt=1,
    resumed_from=None,
    wall_time="2026-01-01T00:00:00Z",
    world_size=1,
    torch_version=None,
    finite=True,
    files={"training_state.json": FileRecord(9, "0" * 32), "model.pt": FileRecord(1, "f" * 32)},
)
SNAPSHOT = Snapshot(
    name="checkpoint-5",
    directory="/out",
    step=5,
    epoch=0,
    kind="periodic",
    run_id="run",
    attempt=1,
    resumed_from=None,
    world_size=1,
    torch_version=None,
    is_wanted=True,
    before=("/out/a",),
    bytes=9,
    written=1.7e9,
)


def with_hash(record: dict[str, Any]) -> bytes:
    """A manifest with a right hash, as an attacker could make it."""
    head = json.dumps(record, indent=1).encode()[: -len(b"\n}")] + b',\n "manifest_xxh3_128": "'
    return head + xxhash.xxh3_128_hexdigest(head).encode() + b'"\n}\n'


@given(st.dictionaries(st.sampled_from(Manifest._fields), values, max_size=3), st.data())
@examples(400)
def test_a_manifest_with_a_right_hash_and_wrong_content(
    changes: dict[str, Any], data: st.DataObject
) -> None:
    """The manifest is refused, or each field has its type and no name leads outside."""
    record = json.loads(MANIFEST.to_bytes())
    del record["manifest_xxh3_128"]
    record.update(changes)
    if isinstance(record["files"], dict) and data.draw(st.booleans()):
        record["files"][data.draw(st.text(max_size=8))] = data.draw(values)
    try:
        manifest = Manifest.from_bytes(with_hash(record))
    except ManifestError:
        return
    assert all(type(n) is int and n >= 0 for n in (manifest.step, manifest.epoch))
    assert manifest.finite in (True, False, None)
    assert not isinstance(manifest.finite, int) or isinstance(manifest.finite, bool)
    assert manifest.run_id is None or isinstance(manifest.run_id, str)
    for name, file in manifest.files.items():
        assert is_safe_name(name)
        assert file.size >= 0
    Manifest.from_bytes(manifest.to_bytes())


@given(texts)
@examples(300)
def test_json_is_a_value_or_a_value_error(data: bytes) -> None:
    """Parsing JSON or a manifest returns a value or raises ValueError."""
    for read in (parse, Manifest.from_bytes, resembles_manifest):
        try:
            read(data)
        except ValueError:
            continue


@given(st.text() | st.from_regex(r"(checkpoint-|step_|epoch=|iter_)[0-9]+(-v1)?(\.ckpt|\.pt)?"))
@examples(300)
def test_names(name: str) -> None:
    """A name gives a step of 0 or more, or none; a safe name stays in its directory."""
    found = parse_name(name)
    assert found is None or found.step is None or found.step >= 0
    if is_safe_name(name):
        assert Path("/root", name).is_relative_to("/root")
        assert ".." not in Path(name).parts


@given(
    st.sampled_from(
        ["a.pt", "a.bin", "a.pkl", "a.safetensors", "a.json", ".metadata", "a.distcp", "a.npz"]
    ),
    st.sampled_from([b"", b"PK\3\4", b"\x80\2", b"\x80\4", b"\x10\0\0\0\0\0\0\0{", b"{", bytes(8)]),
    st.binary(max_size=300),
    st.sampled_from(
        [b"", b"PK\5\6" + bytes(18), b"PK\6\7" + b"\xff" * 16 + b"PK\5\6" + b"\xff" * 16, b"."]
    ),
)
@examples(600)
def test_any_bytes_under_any_name(name: str, head: bytes, body: bytes, tail: bytes) -> None:
    """Any bytes under any name are proven, unproven or damaged, and no other error is raised."""
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(head + body + tail)
        size = file.tell()
        try:
            check = inspect(file.fileno(), name, size)
            digest(file.fileno(), check.feed)
            check.finish()
        except DamagedError:
            return


@given(st.dictionaries(st.text(max_size=4), values, max_size=3), st.binary(max_size=40))
@examples(300)
def test_safetensors_headers(tensors: dict[str, Any], data: bytes) -> None:
    """Offsets, shapes and dtypes of any kind raise nothing but DamagedError."""
    spans = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    header = json.dumps({**tensors, "w": {**spans, **tensors}}).encode()
    test_any_bytes_under_any_name.hypothesis.inner_test(
        "a.safetensors", len(header).to_bytes(8, "little"), header, data
    )


@given(texts, st.sampled_from(["training_state.json", "trainer_state.json", "train_state.json"]))
@examples(200)
def test_progress(data: bytes, name: str) -> None:
    """A step that is read from any JSON is a count or unknown."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, name).write_bytes(data)
        place = read_position(list_files(Path(folder)))
    assert place.step is None or 0 <= place.step < 1 << 63


def seal_page(state: int, sequence: int, record: bytes, *, length: int | None = None) -> bytes:
    """A seal's page with a right CRC."""
    signed = crc32(struct.pack("<Q", sequence) + record)
    head = struct.pack(
        "<4sIIIQII",
        b"TSSN",
        1,
        state,
        0,
        sequence,
        len(record) if length is None else length,
        signed,
    )
    return (head.ljust(64, b"\0") + record).ljust(SEAL_BYTES, b"\0")[:SEAL_BYTES]


@given(
    st.integers(0, 5),
    st.integers(0, 2**64 - 1),
    texts
    | st.dictionaries(st.sampled_from(Snapshot._fields), values, max_size=3).map(
        lambda changes: json.dumps({**SNAPSHOT._asdict(), **changes}).encode()
    ),
    st.none() | st.integers(0, 2**32 - 1),
)
@examples(500)
def test_seals(state: int, sequence: int, record: bytes, length: int | None) -> None:
    """A seal counts only with a record of right types and a name that stays inside the slot."""
    seal = parse_seal(seal_page(state, sequence, record[: SEAL_BYTES - 64], length=length))
    assert (seal.state is SlotState.WHOLE) == (seal.snapshot is not None)
    if seal.snapshot is None:
        return
    for name, kind in get_type_hints(Snapshot).items():
        if kind in (int, str, bool):
            assert type(getattr(seal.snapshot, name)) is kind, name
    assert "/" not in seal.snapshot.name
    assert seal.snapshot.name not in ("", ".", "..")


@given(st.binary(max_size=SEAL_BYTES + 1))
@examples(200)
def test_any_page(data: bytes) -> None:
    """Arbitrary bytes hold no snapshot."""
    assert parse_seal(data).snapshot is None
    assert parse_seal(data.ljust(SEAL_BYTES, b"\0")[:SEAL_BYTES]).snapshot is None


RECORDS: dict[str, Callable[[Path], object]] = {
    "slot-0/weights.json": lambda root: [
        (read_weights(one.slot, {"model.pt": 9}), vet(one)) for one in read_whole(root)
    ],
    "slot-0/verdict.json": lambda root: [read_verdict(one) for one in read_whole(root)],
    "persister.json": lambda root: (
        (board := read_board(root))
        and [
            (next_wanted(wholes, board), next_unvetted(wholes, ()), newer_on_disk(wholes[0], board))
            for wholes in [read_whole(root)]
        ]
    ),
    "rescue.json": persist_request.read,
}
BOARD = {
    "pid": 1, "start_ticks": 2, "state": "idle", "current": None, "rescue": None,
    "results": [{"sequence": 4, "step": 4, "name": "checkpoint-4", "path": "/a", "ok": True,
                 "error": None, "bytes": 1, "seconds": 1.0, "finite": True, "why": "save",
                 "at": 1.0}],
}  # fmt: skip
SHAPES: dict[str, dict[str, Any]] = {
    "slot-0/weights.json": {"files": {"model.bin": [["float32", 0, 8]]}},
    "slot-0/verdict.json": {"sequence": 5, "finite": True, "reason": None, "problem": None},
    "persister.json": BOARD,
    "rescue.json": {"id": 1, "why": "end", "at": 1.0},
}


def altered(value: Any, random: Any, other: Any) -> Any:
    """The same JSON with one place changed."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        key = random.choice(sorted(value))
        return {**value, key: altered(value[key], random, other)}
    if isinstance(value, list) and value and random.random() < 0.9:
        index = random.randrange(len(value))
        return [*value[:index], altered(value[index], random, other), *value[index + 1 :]]
    return other


@pytest.mark.parametrize("name", RECORDS)
def test_what_lies_beside_a_snapshot(name: str, tmp_path: Path) -> None:
    """Garbage in the small files of a snapshot directory raises nothing."""
    root = tmp_path / "snapshots"
    write_snapshot(root, tmp_path, {"model.bin": bytes(64)}, 5)
    path = SnapshotPaths(root).root / name
    path.write_text(json.dumps(SHAPES[name]))
    assert RECORDS[name](root)

    @given(texts, values, st.randoms(use_true_random=False), st.booleans())
    @examples(200)
    def check(data: bytes, value: Any, random: Any, is_near: bool) -> None:
        near = json.dumps(altered(SHAPES[name], random, value)).encode()
        path.write_bytes(near if is_near else data)
        RECORDS[name](root)

    check()
