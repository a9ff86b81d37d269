"""Persisting: the disk gets exactly what was in the slot, or nothing."""

import errno
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from supervisor.checkpoint.commit import CheckpointWriter
from supervisor.checkpoint.validate import validate
from supervisor.memory.persist import persist
from supervisor.memory.persisted import withdraw
from supervisor.memory.seal import (
    Move,
    Seal,
    SealWriter,
    SlotState,
    read_left_behind,
    read_seal,
)
from supervisor.memory.slots import read_given_up, void
from supervisor.memory.snapshot_proof import read_verdict
from tests.memory.conftest import DAMAGES, Fill, State


def is_sound_zip(path: Path) -> bool:
    """Whether Python's own zipfile finds every record's CRC right."""
    done = subprocess.run(
        [sys.executable, "-m", "zipfile", "-t", str(path)], capture_output=True, text=True
    )
    return done.returncode == 0 and "Done testing" in done.stdout and "orrupt" not in done.stdout


def has_equal_bits(found: object, wanted: object) -> bool:
    """Whether two states hold the same tensors, bit for bit."""
    if isinstance(wanted, torch.Tensor):
        assert isinstance(found, torch.Tensor)
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        flat = found.contiguous().flatten().view(torch.uint8)
        return torch.equal(flat, wanted.contiguous().flatten().view(torch.uint8))
    if isinstance(wanted, Mapping):
        assert isinstance(found, Mapping)
        return found.keys() == wanted.keys() and all(
            has_equal_bits(found[key], wanted[key]) for key in wanted
        )
    return found == wanted


def test_a_snapshot_becomes_a_valid_checkpoint(
    fill: Fill, states: dict[str, State], tmp_path: Path
) -> None:
    """The checkpoint is proven, loads in torch, is a sound zip, and has the snapshot's time."""
    whole = fill(510, states, written=1_700_000_000.125, attempt=2, kind="epoch")
    assert not is_sound_zip(whole.path / "model.pt")
    done = persist(whole)
    assert done.path == tmp_path / "out" / "checkpoint-510"
    assert (done.bytes, done.finite, done.was_there) == (whole.snapshot.bytes, True, False)
    verdict = validate(done.path)
    assert (verdict.valid, verdict.proof, verdict.finite) == (True, "hashes", True)
    assert (verdict.step, verdict.epoch, verdict.kind) == (510, 3, "epoch")
    assert '"wall_time": "2023-11-14T22:13:20.125Z"' in (done.path / "manifest.json").read_text()
    for name, state in states.items():
        assert is_sound_zip(done.path / name)
        assert has_equal_bits(torch.load(done.path / name, weights_only=True), state)
    kept = read_verdict(whole)
    assert kept is not None
    assert (kept.finite, kept.problem) == (True, None)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_snapshot_is_not_written_twice(fill: Fill, states: dict[str, State]) -> None:
    """Run, step and time identify a snapshot; another one of that step replaces the old one."""
    whole = fill(10, states)
    first = persist(whole)
    again = persist(whole)
    assert (again.path, again.was_there, again.finite) == (first.path, True, True)
    later = persist(fill(10, states, sequence=11))
    assert (later.path, later.was_there) == (first.path, False)
    aside = first.path.parent / ".set-aside" / "superseded" / "checkpoint-10"
    assert validate(aside).valid
    assert validate(first.path).valid


def test_a_damaged_copy_is_written_again(fill: Fill, states: dict[str, State]) -> None:
    """A checkpoint on the disk counts only if it has all files in their sizes."""
    whole = fill(10, states)
    first = persist(whole)
    (first.path / "optimizer.pt").unlink()
    assert not persist(whole).was_there
    (first.path / "manifest.json").write_text("{}")
    assert not persist(whole).was_there
    assert validate(first.path).valid


@pytest.mark.parametrize(
    ("weights", "value", "finite"),
    [
        (("model.pt",), 1.0, True),
        (("model.pt",), float("nan"), False),
        (("model.pt",), float("-inf"), False),
        ((), float("nan"), None),
    ],
)
def test_the_manifest_says_whether_weights_are_finite(
    fill: Fill, weights: tuple[str, ...], value: float, finite: bool | None
) -> None:
    """Only files called weights are scanned, across chunks of 4 MiB; others leave it unknown."""
    tensor = torch.full((3 << 20,), 3e38)
    tensor[-1] = value
    whole = fill(10, {"model.pt": {"weight": tensor}}, weights=weights)
    done = persist(whole)
    assert done.finite is finite
    assert validate(done.path).finite is finite
    kept = read_verdict(whole)
    assert kept is not None
    assert (kept.finite, str(kept.reason).startswith("model.pt")) == (finite, finite is False)


def test_other_files_are_copied_as_they_are(fill: Fill, states: dict[str, State]) -> None:
    """Folders, empty files and files that are no archive are copied as they are."""

    def more(folder: Path) -> None:
        (folder / "data/deep").mkdir(parents=True)
        (folder / "data/deep/table.bin").write_bytes(os.urandom(5 << 20))
        (folder / "empty").touch()

    size = fill(10, states).snapshot.bytes + (5 << 20)
    whole = fill(10, states, change=more, bytes=size)
    done = persist(whole)
    for name in ("data/deep/table.bin", "empty", "training_state.json"):
        assert (done.path / name).read_bytes() == (whole.path / name).read_bytes()
    assert validate(done.path).valid


def test_what_must_be_there_before_is_synced_first(
    fill: Fill, states: dict[str, State], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The metrics up to the checkpoint are synced before it; a file that is gone is skipped."""
    before = tmp_path / "metrics.jsonl"
    before.write_text("1\n")
    synced: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    persist(fill(10, states, before=(str(before), str(tmp_path / "gone"))))
    manifest = next(index for index, path in enumerate(synced) if path.endswith("manifest.json"))
    assert str(before) in synced[:manifest]


def test_progress_counts_every_byte(fill: Fill) -> None:
    """The progress grows to the size of all files."""
    seen: list[int] = []
    whole = fill(10, {"model.pt": {"weight": torch.zeros(5 << 20)}})
    persist(whole, progress=seen.append)
    assert seen == sorted(seen)
    assert len(seen) > 5
    assert seen[-1] == whole.snapshot.bytes


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("write", errno.ENOSPC),
        ("write", errno.EIO),
        ("fsync", errno.EIO),
        ("open", errno.ENOSPC),
        ("mkdir", errno.ENOSPC),
        ("rename", errno.EIO),
        ("readv", errno.EIO),
    ],
)
def test_any_call_may_fail(
    fill: Fill,
    states: dict[str, State],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    code: int,
) -> None:
    """When any call fails, the error leaves nothing behind, and the next try writes it all."""
    whole = fill(10, {**states, "large.pt": {"t": torch.zeros(5 << 20)}})
    real = getattr(os, call)
    failed = 0
    for at in range(1, 200):
        count = 0

        def fail(*args: Any, at: int = at, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == at:
                raise OSError(code, os.strerror(code))
            return real(*args, **options)

        out = tmp_path / str(at)
        out.mkdir()
        snapshot = whole.snapshot._replace(directory=str(out))
        one = whole._replace(snapshot=snapshot)
        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            try:
                persist(one)
                failed_with = None
            except (OSError, ValueError) as error:
                failed_with = error
        if failed_with is not None:
            failed += 1
            # A seal that cannot be opened reads as a voided one.
            assert getattr(failed_with, "errno", code) == code
            assert os.listdir(out) == []
        assert not threading.enumerate()[1:]
        persist(one)
        assert validate(out / "checkpoint-10").valid
        if count < at:
            break
    assert failed >= 1
    assert count < at


def test_a_disk_too_small_is_seen_before_it_is_full(
    fill: Fill, states: dict[str, State], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENOSPC is raised before one byte is written."""
    whole = fill(10, states)
    real = os.statvfs(tmp_path)
    tiny = os.statvfs_result((*real[:3], 0, 0, *real[5:]))
    monkeypatch.setattr(os, "statvfs", lambda path: tiny)
    written: list[int] = []
    with pytest.raises(OSError, match="No space left"):
        persist(whole, progress=written.append)
    assert written == []
    assert os.listdir(tmp_path / "out") == []


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_is_no_checkpoint_is_not_persisted(
    fill: Fill, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    """A damaged snapshot raises an error and leaves nothing on the disk."""
    whole = fill(10, {"model.pt": {"weight": torch.randn(50)}}, change=damage)
    with pytest.raises((ValueError, OSError)):
        persist(whole)
    out = tmp_path / "out"
    assert not out.exists() or contents(out) == {}


def test_a_slot_given_up_meanwhile_is_not_committed(
    fill: Fill, states: dict[str, State], tmp_path: Path
) -> None:
    """The run went back behind the snapshot while it was being copied."""
    whole = fill(10, states)
    with pytest.raises(ValueError, match="given up"):
        persist(whole, progress=lambda _: void(whole.slot))
    assert os.listdir(tmp_path / "out") == []


def test_a_slot_given_up_as_it_is_committed_is_taken_back(
    fill: Fill, states: dict[str, State], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slot is voided during the last sync: the checkpoint must not be resumed from."""
    whole = fill(10, states)
    commit = CheckpointWriter.commit

    def late(writer: CheckpointWriter) -> Path:
        void(whole.slot)
        return commit(writer)

    monkeypatch.setattr(CheckpointWriter, "commit", late)
    with pytest.raises(ValueError, match="given up"):
        persist(whole)
    assert os.listdir(tmp_path / "out") == [".set-aside"]
    assert validate(tmp_path / "out/.set-aside/superseded/checkpoint-10").valid


def test_a_slot_that_vanishes_as_it_is_committed_stays_on_the_disk(
    fill: Fill, states: dict[str, State], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RemoveIPC took the memory, which is no reason to withdraw the checkpoint."""
    whole = fill(10, states)
    commit = CheckpointWriter.commit

    def late(writer: CheckpointWriter) -> Path:
        shutil.rmtree(whole.slot.folder)
        return commit(writer)

    monkeypatch.setattr(CheckpointWriter, "commit", late)
    assert validate(persist(whole).path).valid


def test_one_that_the_next_attempt_writes_over_is_taken_back(
    fill: Fill, states: dict[str, State], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slot is voided and begun anew while the disk syncs: the checkpoint is withdrawn."""
    whole = fill(10, states)
    commit = CheckpointWriter.commit

    def late(writer: CheckpointWriter) -> Path:
        void(whole.slot)
        fill(3, states, sequence=11)
        return commit(writer)

    monkeypatch.setattr(CheckpointWriter, "commit", late)
    with pytest.raises(ValueError, match="given up"):
        persist(whole)
    assert os.listdir(tmp_path / "out") == [".set-aside"]


def test_what_was_damaged_after_it_was_read_stays_on_the_disk(
    fill: Fill, states: dict[str, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Damage in memory does not affect the copy that was made before it."""
    whole = fill(10, states)
    commit = CheckpointWriter.commit

    def late(writer: CheckpointWriter) -> Path:
        path = commit(writer)
        void(whole.slot, is_bad=True)
        return path

    monkeypatch.setattr(CheckpointWriter, "commit", late)
    assert validate(persist(whole).path).valid


def test_one_of_the_same_name_is_back_where_the_newer_is_taken_back(
    fill: Fill, states: dict[str, State], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a constant name, the run goes back to the checkpoint that was just replaced."""
    persist(fill(10, states, name="last"))
    whole = fill(20, states, name="last", sequence=20)
    commit = CheckpointWriter.commit

    def late(writer: CheckpointWriter) -> Path:
        path = commit(writer)
        void(whole.slot)
        return path

    monkeypatch.setattr(CheckpointWriter, "commit", late)
    with pytest.raises(ValueError, match="given up"):
        persist(whole)
    found = validate(tmp_path / "out" / "last")
    assert (found.valid, found.step) == (True, 10)
    assert validate(tmp_path / "out/.set-aside/superseded/last.2").step == 20


def test_a_kill_while_one_is_given_up_as_damaged(
    fill: Fill, states: dict[str, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between the two stores leaves a whole slot, not one that the run went back behind."""
    whole = fill(10, states)
    seal = SealWriter(whole.slot.seal)
    stopped: list[Seal] = []
    move = seal._move

    def stop_before(number: Move) -> None:
        stopped.append(read_seal(whole.slot.seal))
        move(number)

    monkeypatch.setattr(seal, "_move", stop_before)
    seal.void(is_bad=True)
    seal.close()
    assert stopped[0].state is SlotState.WHOLE
    assert read_seal(whole.slot.seal).state is SlotState.VOID
    assert read_left_behind(whole.slot.seal) is None


def test_one_that_its_own_writer_writes_over_counts(
    fill: Fill, states: dict[str, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer held the slot's lock a moment longer, so the run has not gone back."""
    whole = fill(10, states)
    commit = CheckpointWriter.commit

    def late(writer: CheckpointWriter) -> Path:
        fill(11, states, sequence=11)
        return commit(writer)

    monkeypatch.setattr(CheckpointWriter, "commit", late)
    assert validate(persist(whole).path).valid


def test_only_what_was_given_up_is_found_and_taken_back(
    fill: Fill, states: dict[str, State], root: Path, tmp_path: Path
) -> None:
    """Only a voided slot's checkpoint is withdrawn, once; a later save of that name stays."""
    whole = fill(10, states)
    assert read_given_up(root) == []
    persist(whole)
    void(whole.slot)
    assert read_given_up(root) == [whole]
    other = whole._replace(snapshot=whole.snapshot._replace(written=whole.snapshot.written + 1))
    assert withdraw(other) is None
    place = withdraw(whole)
    assert place == tmp_path / "out/.set-aside/superseded/checkpoint-10"
    assert withdraw(whole) is None
    # After a new snapshot, or damage to the seal, nothing is found.
    fill(20, states, sequence=11)
    assert read_given_up(root) == []
    void(whole.slot)
    with whole.slot.seal.open("r+b") as seal:
        seal.seek(70)
        seal.write(b"?")
    assert read_given_up(root) == []


def test_what_a_killed_writer_left_is_removed(
    fill: Fill, states: dict[str, State], tmp_path: Path
) -> None:
    """Otherwise it would take the space that the next checkpoint needs."""
    out = tmp_path / "out"
    with CheckpointWriter(out, "checkpoint-1", step=1, epoch=0) as writer:
        place, pid, _, rest = writer.path.name.removeprefix(".staging-").split("-", 3)
    stale = out / f".staging-{place}-{pid}-1-{rest}"
    stale.mkdir()
    persist(fill(10, states))
    assert os.listdir(out) == ["checkpoint-10"]
