"""Files that are small to write and huge to read, and the child process that reads one of them.

`python -m tests.checkpoint.bombs NAME FOLDER` makes the file and validates it with a limit on its
memory. It prints the validator's answer and the peak of its memory in bytes.
"""

import json
import os
import pickle
import resource
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import xxhash

from supervisor.checkpoint.validate import validate
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey
from tests.checkpoint.conftest import as_json, write_snapshot

MIB = 1 << 20
STATE = as_json(format=1, global_step=5, current_epoch=0)


def deflated(folder: Path) -> None:
    """A quarter of a gigabyte of zeros, deflated to about a megabyte."""
    kind = zipfile.ZIP_DEFLATED
    with (
        zipfile.ZipFile(folder / "arrays.npz", "w", kind, compresslevel=1) as archive,
        archive.open("a.npy", "w") as record,
    ):
        for _ in range(256):
            record.write(bytes(MIB))


def deflated_without_end(folder: Path) -> None:
    """A record that declares a size of a terabyte."""
    data = zlib.compress(bytes(MIB), wbits=-15)
    _archive(folder / "model.pt", [(b"a", data, 8, 1 << 40)])


def beyond_the_end(folder: Path) -> None:
    """Sizes and offsets of 64 bits with all bits set."""
    _archive(folder / "model.pt", [(b"a", b"x", 0, 0xFFFFFFFF)], extra=b"\xff" * 24)


def crowded(folder: Path) -> None:
    """An archive of 100,000 empty records."""
    _archive(folder / "model.pt", [(b"%06x" % n, b"", 0, 0) for n in range(100_000)])


def empty_objects(folder: Path) -> None:
    """`{},{},…`: the parsed list takes 24 times the memory of its text."""
    (folder / "tokenizer.json").write_bytes(b"[" + b"{}," * (10 * MIB) + b"{}]")


def as_many_as_are_parsed(folder: Path) -> None:
    """The most that the validator parses at all: two million objects."""
    (folder / "config.json").write_bytes(b"[" + b"{}," * 2_100_000 + b"{}]")


def brackets(folder: Path) -> None:
    """Deeply nested lists and objects without an end."""
    (folder / "config.json").write_bytes(b"[" * (10 * MIB))
    (folder / "trainer_state.json").write_bytes(b'{"a":' * MIB)


def wide_text(folder: Path) -> None:
    """A text in which one character makes Python store all others in four bytes each."""
    text = '["' + "\U0001f600" + "x" * (20 * MIB) + '"]'
    (folder / "config.json").write_bytes(text.encode())


def long_header(folder: Path) -> None:
    """A safetensors header as large as that library allows, and a header of empty lists."""
    (folder / "a.safetensors").write_bytes((90 * MIB).to_bytes(8, "little") + b" " * (90 * MIB))
    body = b'{"a":[' + b"[]," * (8 * MIB) + b"[]]}"
    (folder / "b.safetensors").write_bytes(len(body).to_bytes(8, "little") + body)


def many_extents(folder: Path) -> None:
    """A tensor of half a million dimensions, whose number of elements has millions of digits."""
    shape = [1 << 62] * 500_000
    header = as_json(a={"dtype": "F32", "shape": shape, "data_offsets": [0, 0]})
    (folder / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)


def large_manifest(folder: Path) -> None:
    """A manifest with a right hash and a list of millions of files."""
    head = b'{"format": 1, "files": {"a": [' + b"{}," * (9 * MIB) + b"{}]},"
    head += b'\n "manifest_xxh3_128": "'
    digest = xxhash.xxh3_128_hexdigest(head).encode()
    (folder / "manifest.json").write_bytes(head + digest + b'"\n}\n')


def long_pickles(folder: Path) -> None:
    """Lengths of 64 bits, lines without an end, opcodes without an end."""
    (folder / "a.pkl").write_bytes(b"\x80\4\x8e" + struct.pack("<Q", 1 << 62) + b"x")
    (folder / "b.pkl").write_bytes(b"\x80\2\x8b" + struct.pack("<i", 2**31 - 1))
    (folder / "c.pkl").write_bytes(b"\x80\2I" + b"1" * (40 * MIB))
    (folder / "d.pkl").write_bytes(b"\x80\2" + b"N0" * (20 * MIB) + b"N.")
    (folder / "e.pkl").write_bytes(pickle.dumps([[b"x" * MIB] * 3] * 3))
    (folder / "f.pkl").write_bytes(b"\x80\2" + (b"\x8a\xff" + b"\x7f" * 255) * 100_000 + b".")


def dcp_opcodes(folder: Path) -> None:
    """DCP metadata of millions of values, and DCP metadata with texts of four bytes a character."""
    (folder / "__0_0.distcp").write_bytes(b"data")
    (folder / ".metadata").write_bytes(b"\x80\4(" + b"]" * (30 * MIB) + b"l.")
    text = "\U0001f600" + "x" * (14 * MIB)
    many = b"(" + (b"X" + struct.pack("<I", len(text.encode())) + text.encode()) * 2 + b"l."
    (folder / "a").mkdir()
    (folder / "a/__0_0.distcp").write_bytes(b"data")
    (folder / "a/.metadata").write_bytes(b"\x80\4" + many)


def dcp_lengths(folder: Path) -> None:
    """DCP metadata with 32-bit memo indices, 64-bit lengths, and a key of 2**200 parts."""
    for name, body in {
        "memo": b"N" + b"r\xff\xff\xff\xff" + b"p4294967294\n.",
        "text": b"\x8d" + struct.pack("<Q", 1 << 62) + b"x.",
        "frame": b"\x95" + b"\xff" * 8 + b"N.",
        "key": b"})" + b"2\x86" * 200 + b"Ns.",
        "array": b"\x96" + struct.pack("<Q", 1 << 40) + b".",
    }.items():
        (folder / name).mkdir()
        (folder / name / ".metadata").write_bytes(b"\x80\5" + body)
        (folder / name / "__0_0.distcp").write_bytes(b"data")


def _dcp(folder: Path, name: str, body: bytes) -> None:
    """Write one `.metadata` into a folder of its own, beside a shard."""
    (folder / name).mkdir()
    (folder / name / ".metadata").write_bytes(b"\x80\4" + body)
    (folder / name / "__0_0.distcp").write_bytes(b"data")


def _text(said: str) -> bytes:
    data = said.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _shared_place(path: str, extra: int) -> bytes:
    """A pickled object that says where an item lies, with more attributes, in memo place 0."""
    more = b"".join(_text(f"k{number}") + b"N" for number in range(extra))
    place = _text("relative_path") + _text(path) + _text("offset") + b"K\0"
    place += _text("length") + b"K\1"
    return _text("a") + _text("b") + b"\x93)\x81}(" + place + more + b"ub\x940"


def _stored(before: bytes, pairs: bytes) -> bytes:
    """A pickle whose `storage_data` has these pairs."""
    return (
        before
        + _text("a")
        + _text("b")
        + b"\x93)\x81}"
        + _text("storage_data")
        + (b"}(" + pairs + b"usb.")
    )


def dcp_shared(folder: Path) -> None:
    """DCP metadata in which 100,000 items share one object, of few or of many attributes.

    The folder `paths` has two equal, long paths: finding an item by its path compares them.
    """
    for name, extra in {"few": 0, "some": 28, "many": 8000}.items():
        _dcp(folder, name, _stored(_shared_place("__0_0.distcp", extra), b"h\0h\0" * 100_000))
    states = _shared_place("__0_0.distcp", 0)[:-3] + b"\x940"
    states = states[:-2] + b"(" + b"h\0" * 100_000 + b"tb\x940"
    _dcp(folder, "states", _stored(states, b"h\0h\0" * 100_000))
    path = "a/" * (2 * MIB)
    two = _shared_place(path, 0) + _shared_place(path, 0)
    _dcp(folder, "paths", _stored(two, b"h\0h\0h\1h\1" * 100_000))


def shared_names(folder: Path) -> None:
    """Pickles whose import has a tuple of 2**40 parts in place of a name."""
    bomb = b")" + b"2\x86" * 40
    for name, body in {
        "both": bomb + b")\x93.", "second": _text("a") + bomb + b"\x93.",
        "within": b"](" + bomb + b"2\x93e.",
    }.items():  # fmt: skip
        _dcp(folder, name, body)
        (folder / f"{name}.pt").write_bytes(body)


def gzipped(folder: Path) -> None:
    """A quarter of a gigabyte of zeros in a quarter of a megabyte, and 50,000 empty members."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = b"".join(packer.compress(bytes(MIB)) for _ in range(256)) + packer.flush()
    (folder / "model.pkl").write_bytes(data)
    one = zlib.compressobj(1, zlib.DEFLATED, 31)
    (folder / "b.pkl").write_bytes((one.compress(b"") + one.flush()) * 50_000)


def a_rank_far_away(folder: Path) -> None:
    """A file name with a rank of nine digits."""
    (folder / "zero_pp_rank_999999999_mp_rank_00_optim_states.pt").write_bytes(b"\x80\2N.")


def many_shards(folder: Path) -> None:
    """An index that names 300,000 shards outside the checkpoint."""
    names = {f"{n:07}": f"../{n:07}" for n in range(300_000)}
    (folder / "model.safetensors.index.json").write_bytes(as_json(weight_map=names))


def many_files(folder: Path) -> None:
    """More files than any checkpoint has, as hard links because these cost least."""
    for part in range(2):
        (folder / f"{part}").mkdir()
        (folder / f"{part}/0").write_bytes(b"")
        for number in range(1, 51_000):
            os.link(folder / f"{part}/0", folder / f"{part}/{number}")


def deep_folders(folder: Path) -> None:
    """500 nested folders: pytest cannot remove many more."""
    (folder / "/".join(["d"] * 500)).mkdir(parents=True)


def slot_records(folder: Path) -> None:
    """The small files beside a snapshot, made huge."""
    whole = write_snapshot(folder / "snapshots", folder, {"model.bin": bytes(64)}, 5)
    whole.slot.weights.write_bytes(b'{"files": {"a": [' + b"{}," * (18 * MIB) + b"{}]}}")
    whole.slot.verdict.write_bytes(b"[" * (40 * MIB))


def _archive(path: Path, records: list[tuple[bytes, bytes, int, int]], extra: bytes = b"") -> None:
    """Write an archive by hand from (name, packed data, method, declared size)."""
    local, central = bytearray(), bytearray()
    field = struct.pack("<2H", 1, len(extra)) + extra if extra else b""
    for name, data, method, size in records:
        packed = 0xFFFFFFFF if extra else len(data)
        sizes = (0, packed, min(size, 0xFFFFFFFF), len(name))
        at = 0xFFFFFFFF if extra else len(local)
        wide = struct.pack("<2HQ", 1, 8, size) if size > 0xFFFFFFFF else field
        central += struct.pack("<4s6H3L5H2L", b"PK\1\2", 45, 45, 0, method, 0, 0, *sizes,
                               len(wide), 0, 0, 0, 0, at) + name + wide  # fmt: skip
        local += struct.pack("<4s5H3L2H", b"PK\3\4", 45, 0, method, 0, 0, *sizes, 0) + name + data
    count = min(len(records), 0xFFFF)
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, len(records), len(records),
                        len(central), len(local))  # fmt: skip
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(local) + len(central), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(central), len(local), 0)
    path.write_bytes(bytes(local + central) + end64 + locator + end)


BOMBS: dict[str, Callable[[Path], None]] = {
    make.__name__: make
    for make in (
        deflated, deflated_without_end, beyond_the_end, crowded, empty_objects,
        as_many_as_are_parsed, brackets, wide_text,
        long_header, many_extents, large_manifest, long_pickles, a_rank_far_away, many_shards,
        many_files, deep_folders, slot_records, dcp_opcodes, dcp_lengths, gzipped,
        dcp_shared, shared_names,
    )
}  # fmt: skip


def main(name: str, place: Path) -> None:
    """Validate and survey the bomb in `place` within the memory limit, and print the answer."""
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    before = _peak_bytes()
    limit = before + int(os.environ["BOMB_LIMIT_BYTES"])
    resource.setrlimit(resource.RLIMIT_AS, (limit + _mapped(), most))
    folder = place / "checkpoint-5"
    verdicts = [validate(folder)] + [validate(path) for path in folder.iterdir()]
    request = SurveyRequest(
        place, "run", existing="use", quiet=True, snapshots=folder / "snapshots"
    )
    entries = survey(request).entries
    answer = {
        "valid": [verdict.valid for verdict in verdicts],
        "reasons": [verdict.reason for verdict in verdicts],
        "entries": len(entries),
        "grown": _peak_bytes() - before,
    }
    print(json.dumps(answer))


def _peak_bytes() -> int:
    """The peak resident memory since exec; getrusage would also count the parent's memory."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


def _mapped() -> int:
    """The mapped memory that is not resident, such as libraries."""
    pages, resident = Path("/proc/self/statm").read_text().split()[:2]
    return (int(pages) - int(resident)) * resource.getpagesize()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
