"""DCP checkpoints as torch writes them: each file that `.metadata` names is there and its own."""

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from supervisor.checkpoint.proofs.pickle_values import UnknownPickleError, read_pickle
from supervisor.checkpoint.validate import Validation, validate
from tests.checkpoint.conftest import make_old, write_files
from tests.checkpoint.hostile import payloads

ROOT = Path(__file__).resolve().parents[2]
# Three processes that import torch make the saves once.
pytestmark = pytest.mark.timeout(180)
WHOLE = ("two", "threads", "each", "safetensors", "own", "idle")


@pytest.fixture(scope="session")
def saves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All saves that `dcp_saves` makes."""
    folder = tmp_path_factory.mktemp("dcp")
    subprocess.run(
        [sys.executable, "-m", "tests.checkpoint.dcp_saves", str(folder)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
    )
    return folder


@pytest.fixture
def copy(saves: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that copies one save, as a checkpoint or into a folder of one."""

    def make(name: str, inside: str = "") -> Path:
        folder = tmp_path / "checkpoint-5"
        shutil.copytree(saves / name, folder / inside, copy_function=shutil.copy)
        make_old(folder)
        return folder

    return make


def judge(folder: Path, age_s: float | None = 60) -> Validation:
    """The verdict after setting all files `age_s` back; None keeps the files' own times."""
    if age_s is not None:
        make_old(folder, age_s)
    return validate(folder)


@pytest.mark.parametrize("name", WHOLE)
def test_what_torch_saves_is_proven(copy: Callable[..., Path], name: str) -> None:
    """A save by one or two ranks is proven in each of its forms, also with an idle rank."""
    verdict = judge(copy(name))
    assert (verdict.valid, verdict.proof, verdict.reason) == (True, "structure", None)


@pytest.mark.parametrize("inside", ["", "pytorch_model_fsdp_0", "a/optimizer_0"])
@pytest.mark.parametrize("name", ["two", "threads", "each", "own", "safetensors"])
@pytest.mark.parametrize("harm", ["missing", "empty", "cut", "link"])
def test_each_shard_is_needed(copy: Callable[..., Path], name: str, inside: str, harm: str) -> None:
    """A missing, empty, cut or linked shard makes the save invalid; the reason names the shard."""
    folder = copy(name, inside)
    for shard in sorted((folder / inside).glob("*.distcp")):
        data = shard.read_bytes()
        shard.unlink()
        if harm == "link":
            shutil.copyfile(__file__, folder.parent / "elsewhere")
            shard.symlink_to(folder.parent / "elsewhere")
        elif harm != "missing":
            shard.write_bytes(b"" if harm == "empty" else data[:-1])
        verdict = judge(folder)
        assert verdict.valid is False
        assert shard.name in (verdict.reason or "")
        shard.unlink(missing_ok=True)
        shard.write_bytes(data)
    assert judge(folder).valid


def test_one_flipped_bit_in_a_shard_is_seen(copy: Callable[..., Path]) -> None:
    """Each item is an archive with its CRC-32: one flipped bit of a tensor's data is seen."""
    shard = copy("two") / "__1_0.distcp"
    data = shard.read_bytes()
    at = data.index(b"\x80?\0\0\x80?")  # the bytes of ones
    shard.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    verdict = judge(shard.parent)
    assert verdict.valid is False
    assert "CRC-32" in (verdict.reason or "")


def test_a_shard_of_another_layout_is_seen(copy: Callable[..., Path], saves: Path) -> None:
    """A longer shard, one without archives, and one with items elsewhere are of another save."""
    folder = copy("threads")
    shard = folder / "__0_1.distcp"
    data, other = shard.read_bytes(), (saves / "two" / "__1_0.distcp").read_bytes()
    for content in (data + b"x", data + data, other[: len(data)], b"data" * 4000,
                    data[:2000] + data):  # fmt: skip
        shard.write_bytes(content)
        verdict = judge(folder)
        assert verdict.valid is False
        assert "another save" in (verdict.reason or "")


def test_a_shard_written_after_the_metadata_is_of_another_save(
    copy: Callable[..., Path], saves: Path
) -> None:
    """The shard is whole and of its size: only its later time shows that a save was cut off."""
    folder = copy("threads")
    shutil.copyfile(saves / "later" / "__0_0.distcp", folder / "__0_0.distcp")
    make_old(folder, 900)
    os.utime(folder / "__0_0.distcp")
    verdict = judge(folder, None)
    assert verdict.valid is False
    assert "another save" in (verdict.reason or "")


def test_the_times_of_a_copy_are_no_damage(copy: Callable[..., Path]) -> None:
    """Files copied in any order are valid, and so are shards much older than the metadata."""
    folder = copy("threads")
    now = folder.stat().st_mtime
    for times in ((0.0, 1.0, 1.5), (0.0, -1.0, 14.0), (0.0, 5.0, 12.0), (0.0, -86400.0, -3.0)):
        for name, later in zip((".metadata", "__0_0.distcp", "__0_1.distcp"), times, strict=True):
            os.utime(folder / name, (now + later, now + later))
        assert judge(folder, None).valid, times


def test_a_large_copy_may_take_longer(copy: Callable[..., Path]) -> None:
    """A copy may take 15 s and 1 s for each 10 MB; here a sparse file of 200 MB lies beside."""
    folder = copy("threads")
    with (folder / "other.bin").open("wb") as file:
        file.write(b"x" * 4096)
        file.truncate(200_000_000)
    make_old(folder)
    then = folder.stat().st_mtime + 33
    os.utime(folder / "__0_1.distcp", (then, then))
    assert judge(folder, None).valid
    os.utime(folder / "__0_1.distcp", (then + 4, then + 4))
    assert judge(folder, None).valid is False


@pytest.mark.parametrize("path", [b"../../../a.bin", b"/etc/hostname"])
def test_a_path_out_of_the_checkpoint_is_refused(copy: Callable[..., Path], path: bytes) -> None:
    """A path out of the checkpoint is refused, even to a file that exists."""
    folder = copy("threads")
    metadata = folder / ".metadata"
    old = b"\x8c\x0c__0_1.distcp"
    new = b"\x8c" + bytes([len(path)]) + path
    data = metadata.read_bytes()
    assert old in data
    frame = data.index(b"\x95")
    length = int.from_bytes(data[frame + 1 : frame + 9], "little") + len(new) - len(old)
    data = data[: frame + 1] + length.to_bytes(8, "little") + data[frame + 9 :]
    metadata.write_bytes(data.replace(old, new))
    verdict = judge(folder)
    assert verdict.valid is False
    assert "outside" in (verdict.reason or "")


@pytest.mark.parametrize(
    "metadata",
    [pickle.dumps(None), pickle.dumps({"storage_data": {1: 2}}), pickle.dumps([1, "a"])],
)
def test_another_layout_of_the_metadata_is_no_damage(
    copy: Callable[..., Path], metadata: bytes
) -> None:
    """With metadata of an unknown layout the shards are valid, but not proven by structure."""
    folder = copy("threads")
    (folder / ".metadata").write_bytes(metadata)
    verdict = judge(folder)
    assert (verdict.valid, verdict.proof) == (True, "files")


def test_a_shard_that_nothing_names_is_extra(copy: Callable[..., Path]) -> None:
    """Unnamed shards, empty or zeros, are allowed; without `.metadata` the save is torn."""
    folder = copy("two")
    (folder / "__7_0.distcp").write_bytes(bytes(5000))
    (folder / "__8_0.distcp").touch()
    assert judge(folder).valid
    (folder / ".metadata").unlink()
    assert ".metadata is missing" in (judge(folder).reason or "")


def test_the_metadata_of_each_rank_counts(copy: Callable[..., Path]) -> None:
    """Saved without collectives, a rank whose own metadata is missing never finished."""
    folder = copy("own")
    (folder / "__1.metadata").unlink()
    assert "missing" in (judge(folder).reason or "")


def test_a_hostile_metadata_runs_nothing(tmp_path: Path) -> None:
    """Hostile metadata is read as values: no call in it runs."""
    canary = tmp_path / "canary"
    for number, (_, payload) in enumerate(payloads(canary)):
        with suppress(UnknownPickleError):
            read_pickle(payload)
        files = {".metadata": payload, "__0_0.distcp": b"data"}
        validate(write_files(tmp_path / str(number) / "checkpoint-5", files))
        assert not canary.exists()


@pytest.mark.parametrize("data", [
    b"\x80\4r\xff\xff\xff\xff.", b"\x80\4Nr\xff\xff\xff\xffj\xff\xff\xff\xff0.", b"\x80\4\x82\1.",
    b"\x80\4.", b"\x80\4u.", b"\x80\4(", b"\x80\4e.", b"\x80\4NQ.", b"\x80\4P1\n.", b"\x80\4h\1.",
    b"\x80\4((((.", b"\x80\5\x97.", b"", b"}", b"\x80\4]00.",
])  # fmt: skip
def test_odd_pickles_are_refused_or_read(data: bytes) -> None:
    """Huge memo indices, extension codes, an empty stack and open marks raise the known error."""
    try:
        read_pickle(data)
    except UnknownPickleError:
        return
    assert data.startswith(b"\x80\4N")


def test_values_come_out_as_they_went_in() -> None:
    """Values of each protocol are read back; a key that takes for ever to hash is not hashed."""
    value = ["a", 1, -5, 2.5, None, True, b"x", (1, (2, 3)), 1 << 70]
    for protocol in range(6):
        assert read_pickle(pickle.dumps(value, protocol)) == value or protocol < 3  # bytes
    deep = b"\x80\4}" + b")" + b"2\x86" * 200 + b"Ns."
    assert type(read_pickle(deep)).__name__ == "Entries"
