"""Validation of our own format: any damage to any file is seen, and no disk content raises."""

import os
import shutil
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.checkpoint.validate import validate
from tests.checkpoint.conftest import MakeOurs

FILES = ["model.pt", "optimizer.pt", "scheduler.pt", "ema_model.pt", "training_state.json"]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory, make_ours: MakeOurs) -> Path:
    """One good checkpoint that no test changes."""
    return make_ours(tmp_path_factory.mktemp("pristine"), 500)


def damage(path: Path, how: str, position: float) -> None:
    """Damage one file somewhere and restore its times, as a failing disk does."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    at = min(int(position * len(data)), len(data) - 1)
    match how:
        case "truncate":
            del data[at:]
        case "flip":
            data[at] ^= 1 << int(position * 1e6) % 8
        case "empty":
            data.clear()
        case "zero":
            data[at:] = bytes(len(data) - at) if any(data[at:]) else b"\1" * (len(data) - at)
        case "extend":
            data += b"\0"
    if how == "delete":
        path.unlink()
        return
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from([*FILES, "manifest.json"]),
    how=st.sampled_from(["truncate", "flip", "empty", "zero", "extend", "delete"]),
    position=st.floats(0, 1, exclude_max=True),
)
def test_any_damage_is_seen(
    tmp_path_factory: pytest.TempPathFactory, pristine: Path, name: str, how: str, position: float
) -> None:
    """Damage to any file at any offset makes a checkpoint invalid with a reason, never foreign."""
    copy = tmp_path_factory.mktemp("damaged") / "checkpoint-500"
    shutil.copytree(pristine, copy)
    damage(copy / name, how, position)
    verdict = validate(copy)
    assert (verdict.valid, verdict.proof) == (False, "hashes")
    assert verdict.reason
    shutil.rmtree(copy.parent)


def test_files_beside_are_allowed(pristine: Path, tmp_path: Path) -> None:
    """A note, a folder or an export beside the listed files changes nothing."""
    copy = tmp_path / "checkpoint-500"
    shutil.copytree(pristine, copy)
    (copy / "notes.txt").write_text("")
    (copy / "more").mkdir()
    (copy / "more" / "model.onnx").write_bytes(b"\0")
    assert validate(copy).valid


@pytest.mark.parametrize("name", FILES)
def test_links_and_pipes_are_never_followed(pristine: Path, tmp_path: Path, name: str) -> None:
    """A link to the very same bytes is refused, and a pipe does not hang."""
    copy = tmp_path / "checkpoint-500"
    shutil.copytree(pristine, copy)
    (copy / name).rename(tmp_path / name)
    (copy / name).symlink_to(tmp_path / name)
    assert validate(copy).valid is False
    (copy / name).unlink()
    os.mkfifo(copy / name)
    assert validate(copy).valid is False


def test_the_manifest_and_the_mark_both_gone(pristine: Path, tmp_path: Path) -> None:
    """Without both, only a caller that expects a manifest gets the verdict invalid."""
    copy = tmp_path / "checkpoint-500"
    shutil.copytree(pristine, copy)
    (copy / "manifest.json").unlink()
    (copy / "training_state.json").write_bytes(b'{"global_step": 500, "current_epoch": 0}')
    assert validate(copy).ours is False
    assert validate(copy, expect_manifest=True).valid is False


def test_a_linked_path_is_resolved(pristine: Path, tmp_path: Path) -> None:
    """`supervisor validate latest` validates what the link points to."""
    link = tmp_path / "latest"
    link.symlink_to(pristine)
    assert validate(link).valid


def test_what_is_not_there_or_is_nothing(tmp_path: Path) -> None:
    """An absent path, an empty directory, a pipe and an empty file are invalid, with a reason."""
    (tmp_path / "checkpoint-1").mkdir()
    os.mkfifo(tmp_path / "ckpt.pt")
    (tmp_path / "last.ckpt").touch()
    for name in ("absent", "checkpoint-1", "ckpt.pt", "last.ckpt"):
        verdict = validate(tmp_path / name)
        assert verdict.valid is False
        assert verdict.reason


def test_an_unreadable_file_is_not_condemned(
    pristine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EIO and stale handles may pass: the verdict is neither valid nor invalid, and not kept."""

    def fail(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "readv", fail)
    verdict = validate(pristine)
    assert (verdict.valid, verdict.rememberable) == (None, False)
    assert "Input/output error" in (verdict.reason or "")


def test_young_files_are_not_remembered(tmp_path: Path, make_ours: MakeOurs) -> None:
    """A verdict on files written this instant is given, but may not be kept."""
    verdict = validate(make_ours(tmp_path, 1))
    assert (verdict.valid, verdict.rememberable) == (True, False)


def test_memory_is_constant(tmp_path: Path, make_ours: MakeOurs) -> None:
    """A file of 256 MiB is read in chunks."""
    path = make_ours(tmp_path, 1)
    with (path / "model.pt").open("r+b") as file:
        file.truncate(256 << 20)
    foreign = tmp_path / "checkpoint-2"
    foreign.mkdir()
    with (foreign / "weights.distcp").open("wb") as file:
        file.write(b"x")
        file.truncate(256 << 20)
    (foreign / ".metadata").write_bytes(b"\x80\x04N.")
    tracemalloc.start()
    try:
        assert validate(path).valid is False
        assert validate(foreign).valid
        assert tracemalloc.get_traced_memory()[1] < 12 << 20
    finally:
        tracemalloc.stop()
