"""Files of kinds that no table knows: what a survey can prove of them, and no untrue reason."""

import gzip
import io
import json
import lzma
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import h5py
import pytest

from supervisor.checkpoint.contents import is_description, state_files
from supervisor.checkpoint.validate import validate
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey
from tests.checkpoint.conftest import Files, write_files


def zipped(method: int = zipfile.ZIP_STORED) -> bytes:
    """A program's zip archive, like those of keras and stable-baselines3."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", bytes(range(256)) * 40)
    return buffer.getvalue()


def tarred(form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive with a folder, a file of a long name and a link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        folder = tarfile.TarInfo("state")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        file = tarfile.TarInfo("state/" + "x" * 180 + "ü")
        file.size = 3000
        archive.addfile(file, io.BytesIO(b"y" * 3000))
        link = tarfile.TarInfo("state/latest")
        link.type, link.linkname = tarfile.SYMTYPE, "x"
        archive.addfile(link)
    return buffer.getvalue()


def hdf5(version: int, size: int = 4096) -> bytes:
    """An HDF5 file with a superblock that says how long the file is."""
    magic = b"\x89HDF\r\n\x1a\n" + bytes([version])
    addresses = struct.pack("<4Q", 0, (1 << 64) - 1, size, (1 << 64) - 1)
    if version < 2:
        head = magic + b"\0\0\0\0\x08\x08\0" + b"\4\0\x10\0\0\0\0\0" + b"\0" * 4 * version
    else:
        head = magic + b"\x08\x08\0"
    return (head + addresses).ljust(size, b"d")


WHOLE: dict[str, bytes] = {
    "policy_{}_steps.zip": zipped(),
    "deflated-{}.zip": zipped(zipfile.ZIP_DEFLATED),
    "lzma-{}.zip": zipped(zipfile.ZIP_LZMA),
    "model-{}.keras": zipped(),
    "weights-{}.h5": hdf5(0),
    "weights1-{}.h5": hdf5(1),
    "weights2-{}.hdf5": hdf5(2),
    "weights3-{}.hdf5": hdf5(3),
    "state-{}.tar": tarred(),
    "state-{}.gnu.tar": tarred(tarfile.GNU_FORMAT),
    "state-{}.tar.gz": gzip.compress(tarred()),
    "two-{}.gz": gzip.compress(b"a" * 3000) + gzip.compress(b"b" * 3000) + bytes(512),
    "state-{}.tar.xz": lzma.compress(tarred()),
    "flax-{}.msgpack": b"\x82\xa4step\x14" + b"w" * 5000,
    "xgboost-{}.ubj": b"{L\0\0\0\0\0\0\0\7learner[$d#i\x7f" + b"w" * 508 + b"}",
    "xgboost-{}.json": json.dumps({"learner": [1] * 900}).encode(),
    "forest-{}.joblib": b"\x80\4\x95joblib.numpy_pickle" + b"\xff" * 5000,
    "forest-{}.pkl": b"\x80\4\x8c\x13joblib.numpy_pickle\x8c\1x\x93)\x81" + b"\xff" * 5000,
    "packed-{}.pkl": gzip.compress(pickle.dumps({"step": 20, "w": list(range(999))})),
    "old-{}.pkl": pickle.dumps({"step": 20, "w": [0.5] * 99}, 0),
    "raw-{}.dat": bytes(8192) + b"w" * 100,
    "state-{}.txt": b"20",
    "zeros-{}.txt": b"0" * 8192,
    "noending-{}": b"w" * 5000,
}  # fmt: skip
# The content of these kinds says where the file ends.
CUT = [
    name
    for name, data in WHOLE.items()
    if data[:2] in (b"PK", b"\x1f\x8b", b"\x89H") and "lzma" not in name
] + ["state-{}.tar", "state-{}.gnu.tar", "xgboost-{}.json", "old-{}.pkl"]


def request(folder: Path, name: str) -> SurveyRequest:
    """A request with a user's pattern for the files' names."""
    pattern = name.replace(".", r"\.").replace("{}", r"(?P<step>\d+)")
    return SurveyRequest(folder, existing="use", quiet=True, pattern=pattern)


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_file_of_any_kind_counts(tmp_path: Path, name: str) -> None:
    """A whole file is valid alone and in a directory, and its hash is kept so that rot is seen."""
    write_files(tmp_path, {name.format(20): WHOLE[name]})
    found = survey(request(tmp_path, name))
    assert [(one.step, one.valid, one.reason) for one in found.entries] == [(20, True, None)]
    assert found.entries[0].proof in ("files", "structure")
    assert name.format(20) in found.entries[0].hashes
    folder = write_files(tmp_path / "d/checkpoint-20", {name.format(20): WHOLE[name]})
    verdict = validate(folder)
    assert (verdict.valid, verdict.reason) == (True, None)
    assert name.format(20) in verdict.hashes


@pytest.mark.parametrize("name", CUT)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_cut_one_is_seen_where_its_content_tells(tmp_path: Path, name: str, share: float) -> None:
    """A file that says its own length is invalid when cut, whatever its ending."""
    data = WHOLE[name] if name.endswith("h5") or "hdf5" in name else WHOLE[name].rstrip(b"\0")
    data = data[: int(len(data) * share)]
    write_files(tmp_path, {name.format(20): data})
    entry = survey(request(tmp_path, name)).entries[0]
    assert entry.valid is False
    assert name.format(20) in (entry.reason or "")


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("weights-20.h5", b"", "is empty"),
        ("weights-20.keras", bytes(8192), "begins with zeros"),
        ("weights-20.msgpack", bytes(4096) + b"x" * 100, "begins with zeros"),
    ],
)
def test_what_never_reached_the_disk(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    """A file that is empty, or has zeros where data should be, is invalid."""
    path = write_files(tmp_path, {name: data}) / name
    verdict = validate(path)
    assert verdict.valid is False
    assert reason in (verdict.reason or "")


def test_an_orbax_directory_counts(tmp_path: Path) -> None:
    """An orbax directory is valid: its chunks have no endings and may be zeros."""
    files = {
        "_CHECKPOINT_METADATA": b"{}",
        "commit_success.txt": b"",
        "default/_METADATA": b"{}",
        "default/d/0123abcd": bytes(9000) + b"x",
        "default/ocdbt.process_0/d/ff00": bytes(9000),
        "default/manifest.ocdbt": b"\x0d\xdb\x3a\x2a" + b"m" * 100,
    }
    verdict = validate(write_files(tmp_path / "25", files))
    assert (verdict.valid, verdict.proof) == (True, "files")
    assert set(verdict.hashes) == set(files)


def test_a_tensorflow_checkpoint_counts(tmp_path: Path) -> None:
    """A TensorFlow index is valid with data that begin with a tensor of zeros."""
    files = {
        "model.ckpt.index": b"i" * 300,
        "model.ckpt.data-00000-of-00001": bytes(9000) + b"x",
        "checkpoint": b'model_checkpoint_path: "model.ckpt"',
    }
    assert validate(write_files(tmp_path / "checkpoint-20", files)).valid


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "no file of weights or state"),
        ({"state.txt": b"", "b.msgpack": b""}, "all of its files are empty"),
        ({"config.json": b"{}", "generation_config.json": b"{}"}, "only files that describe"),
        (
            {"tokenizer.json": b"{}", "tokenizer.model": b"t", "vocab.txt": b"a"},
            "only files that describe",
        ),
        ({"README.md": b"a", "trainer_state.json": b"{}"}, "only files that describe"),
        ({"model.safetensors.index.json": b'{"weight_map": {}}'}, "only files that describe"),
        ({"image_0.png": b"png", "log.txt": b"step 5"}, "only files that describe"),
        ({"model.safetensors.tmp": b"half", ".nfs0001": b"x"}, "only files that describe"),
        (
            {"trainer_state.json": b"{}", "training_args.bin": b"\x80\4N."},
            "only files that describe",
        ),
    ],
)
def test_what_holds_no_state(tmp_path: Path, files: Files, reason: str) -> None:
    """A directory with no file, empty files, or only descriptions and leftovers is invalid."""
    folder = tmp_path / "checkpoint-20"
    folder.mkdir()
    verdict = validate(write_files(folder, files))
    assert verdict.valid is False
    assert reason in (verdict.reason or "")


def test_a_directory_of_links_is_not_followed(tmp_path: Path) -> None:
    """A directory whose files are links to where the checkpoint was moved is not followed."""
    (tmp_path / "state.txt").write_text("20")
    folder = tmp_path / "checkpoint-20"
    folder.mkdir()
    (folder / "state.txt").symlink_to(tmp_path / "state.txt")
    assert "not followed" in (validate(folder).reason or "")


def test_beside_known_files_the_others_are_by_products(tmp_path: Path, torch_files: Files) -> None:
    """Beside a known file, a file of any other program may be empty or change."""
    files = {"model.pt": torch_files["model.pt"], "notes.xyz": b"", "x.zip": b"PK\3\4 torn"}
    verdict = validate(write_files(tmp_path / "checkpoint-20", files))
    assert (verdict.valid, verdict.proof) == (True, "structure")
    assert set(verdict.hashes) == {"model.pt"}


def test_rot_in_a_file_of_an_unknown_kind_changes_its_hash(tmp_path: Path) -> None:
    """The kept hash is the only sign of rot in such a file."""
    folder = write_files(tmp_path / "checkpoint-20", {"w.msgpack": b"w" * 5000})
    before = validate(folder).hashes["w.msgpack"]
    write_files(folder, {"w.msgpack": b"w" * 4999 + b"v"})
    assert validate(folder).hashes["w.msgpack"] != before


def test_names_alone() -> None:
    """A file's name says whether it holds state or only a description."""
    for name in ("state.txt", "model.msgpack", "0", "a/b.ocdbt", "model.json", "x.ckpt.index"):
        assert not is_description(name), name
    for name in ("adapter_config.json", "a/README", "vocab.json", "x.index.json", "a.png",
                 ".gitattributes", "events.out.tfevents.1", "model.fp16.index.json"):  # fmt: skip
        assert is_description(name), name
    assert state_files({"a.pt", "b.txt", "config.json"}) == {"a.pt"}
    assert state_files({"b.txt", "config.json"}) == {"b.txt"}
    assert not is_description("pytorch_model_fsdp_0/.metadata")


def test_a_real_hdf5_file(tmp_path: Path) -> None:
    """A whole HDF5 file is valid, and a file that lacks one byte is not."""
    path = tmp_path / "w-20.h5"
    with h5py.File(path, "w") as file:
        file["w"] = list(range(5000))
    assert validate(path).valid
    path.write_bytes(path.read_bytes()[:-1])
    assert validate(path).valid is False
