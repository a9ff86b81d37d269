"""Exporting leaves a proven copy under the name, or none."""

import os
from pathlib import Path

import pytest

from supervisor.checkpoint import export as export_module
from supervisor.checkpoint.export import export
from supervisor.checkpoint.validate import validate
from supervisor.errors import SupervisorError
from tests.checkpoint.conftest import Files, MakeOurs, write_files
from tests.checkpoint.test_foreign import guide


def test_a_copy_equals_its_source(tmp_path: Path, make_ours: MakeOurs) -> None:
    """The copy has equal hashes and the extra files, in a directory or under a new name."""
    source = make_ours(tmp_path / "out", 500)
    (source / "notes").mkdir()
    (source / "notes" / "why.txt").write_text("good")
    (tmp_path / "backup").mkdir()
    assert export(source, tmp_path / "backup").valid
    assert export(source, tmp_path / "elsewhere" / "best").valid
    for copy in (tmp_path / "backup" / "checkpoint-500", tmp_path / "elsewhere" / "best"):
        assert validate(copy).hashes == validate(source).hashes
        assert (copy / "notes" / "why.txt").read_text() == "good"
    assert os.listdir(tmp_path / "backup") == ["checkpoint-500"]


def test_foreign_ones_and_single_files(tmp_path: Path, torch_files: Files) -> None:
    """Copies of other trainers' checkpoints are proven by structure and equal their source."""
    source = write_files(tmp_path / "checkpoint-500", guide(torch_files, 500))
    (tmp_path / "ckpt.pt").write_bytes(torch_files["model.pt"])
    (tmp_path / "backup").mkdir()
    assert export(source, tmp_path / "backup").proof == "structure"
    assert export(tmp_path / "ckpt.pt", tmp_path / "backup").valid
    assert (tmp_path / "backup" / "ckpt.pt").read_bytes() == torch_files["model.pt"]


def test_a_bad_source_gives_no_copy(tmp_path: Path, make_ours: MakeOurs) -> None:
    """For an invalid source the verdict gives the reason, and no copy is left."""
    source = make_ours(tmp_path / "out", 500)
    (source / "model.pt").write_bytes(b"rotten")
    (tmp_path / "backup").mkdir()
    verdict = export(source, tmp_path / "backup")
    assert verdict.valid is False
    assert "model.pt" in (verdict.reason or "")
    assert os.listdir(tmp_path / "backup") == []


def test_a_copy_gone_wrong_is_no_copy(
    tmp_path: Path, torch_files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Export compares the copy's bytes with the source's."""
    source = tmp_path / "ckpt.pt"
    source.write_bytes(torch_files["model.pt"])
    (tmp_path / "backup").mkdir()
    real = export_module._copy_file

    def corrupt(fd: int, target: Path) -> str:
        hexdigest = real(fd, target)
        target.write_bytes(torch_files["optimizer.pt"])
        return hexdigest

    monkeypatch.setattr(export_module, "_copy_file", corrupt)
    assert "differs from the original" in (export(source, tmp_path / "backup").reason or "")
    assert os.listdir(tmp_path / "backup") == []


def test_a_full_disk_leaves_nothing(
    tmp_path: Path, make_ours: MakeOurs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error during the copy reaches the caller, and the half copy is removed."""
    source = make_ours(tmp_path / "out", 500)
    (tmp_path / "backup").mkdir()

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        export(source, tmp_path / "backup")
    assert os.listdir(tmp_path / "backup") == []


def test_nothing_is_overwritten(tmp_path: Path, make_ours: MakeOurs) -> None:
    """A taken name and an absent source are errors with a hint."""
    source = make_ours(tmp_path / "out", 500)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SupervisorError, match="exists already"):
        export(source, tmp_path / "file")
    with pytest.raises(SupervisorError, match="does not exist"):
        export(tmp_path / "absent", tmp_path / "copy")
    assert (tmp_path / "file").read_text() == "mine"
