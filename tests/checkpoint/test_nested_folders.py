"""Folders below the checkpoint directory in which tools make their checkpoints by themselves."""

import os
import shutil
from pathlib import Path

import pytest

from supervisor.checkpoint import owner_mark
from supervisor.survey import nested_folders as module
from supervisor.survey.nested_folders import NestedWalk, nested_folders
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey
from tests.checkpoint.conftest import Files, make_old

WEIGHTS = "model.pt"


def save(place: Path, files: Files) -> Path:
    """A single file of torch.save, old enough to count."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(files[WEIGHTS])
    make_old(place)
    return place


def found_in(directory: Path, **options: object) -> list[str]:
    """The checkpoints that a survey lists, relative to the directory."""
    request = SurveyRequest(directory, existing="use", quiet=True, **options)  # type: ignore[arg-type]
    return [str(one.path.relative_to(directory)) for one in survey(request).entries]


@pytest.mark.parametrize(
    "place",
    [
        "lightning_logs/version_0/checkpoints/epoch=0-step=10.ckpt",
        "version_3/checkpoints/last.ckpt",
        "checkpoints/epoch=1-step=10.ckpt",
        "project/run1/checkpoints/epoch=1-val_loss=0.10.ckpt",
        "weights/last.pt",
        "train2/weights/last.pt",
        "runs/detect/train/weights/epoch5.pt",
        "gpt/checkpoints/ep0-ba1000-rank0.pt",
    ],
)
def test_a_tools_own_folder_is_looked_into(tmp_path: Path, torch_files: Files, place: str) -> None:
    """Checkpoints are found where the tool makes them, whichever part of the path is configured."""
    save(tmp_path / place, torch_files)
    assert found_in(tmp_path) == [place]


@pytest.mark.parametrize(
    "place",
    [
        "weights/epoch=0-step=10.ckpt",  # another tool's name
        "checkpoints/last.pt",
        "downloads/ckpt.pt",
        "a/b/c/d/weights/last.pt",  # too deep
        ".cache/weights/last.pt",
        "wandb/weights/last.pt",
        "data/weights/last.pt",
        "eval/checkpoints/last.ckpt",
        "weights/best.pt",
        "checkpoint-10/checkpoints/last.ckpt",  # a part of a checkpoint
    ],
)
def test_other_files_below_are_left_alone(tmp_path: Path, torch_files: Files, place: str) -> None:
    """Only a tool's own names count, and only in its own folder."""
    save(tmp_path / place, torch_files)
    assert [one for one in found_in(tmp_path) if one != "checkpoint-10"] == []


def test_another_runs_folders_are_not_entered(tmp_path: Path, torch_files: Files) -> None:
    """A directory that another run has marked, or that holds a run, is that run's alone."""
    save(tmp_path / "a/weights/last.pt", torch_files)
    save(tmp_path / "b/weights/last.pt", torch_files)
    save(tmp_path / "c/weights/last.pt", torch_files)
    owner_mark.make(tmp_path / ".b.supervised-by", owner_mark.mark_of("other", "o", tmp_path / "o"))
    (tmp_path / "c/.supervisor").mkdir()
    assert found_in(tmp_path, run_id="mine") == ["a/weights/last.pt"]
    assert "b/weights/last.pt" in found_in(tmp_path, run_id="other")
    inside = tmp_path / "a/.a.supervised-by"
    owner_mark.make(inside, owner_mark.mark_of("other", "o", tmp_path / "o"))
    assert found_in(tmp_path, run_id="mine") == []


def test_links_are_not_followed(tmp_path: Path, torch_files: Files) -> None:
    """A link to a folder of checkpoints adds none, and a loop of links ends."""
    save(tmp_path / "elsewhere/weights/last.pt", torch_files)
    run = tmp_path / "run"
    run.mkdir()
    (run / "train").symlink_to(tmp_path / "elsewhere")
    (run / "weights").symlink_to(tmp_path / "elsewhere/weights")
    (run / "loop").symlink_to(run)
    assert found_in(run) == []


def test_the_walk_is_bounded(
    tmp_path: Path, torch_files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of thousands of folders the newest are read, and a folder of a million files is not."""
    for number in range(30):
        save(tmp_path / f"train{number}/weights/last.pt", torch_files)
        os.utime(tmp_path / f"train{number}", (1e9 + number, 1e9 + number))
    monkeypatch.setattr(module, "_MOST_FOLDERS", 11)
    read = []
    original = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: read.append(path) or original(path))
    found = nested_folders(tmp_path)
    assert found == [tmp_path / f"train{number}/weights" for number in range(29, 19, -1)]
    assert len(read) == 11


def test_a_slow_disk_is_walked_in_parts(
    tmp_path: Path, torch_files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look goes on where time was over for the last one, so every folder is seen at last.

    What a whole walk found stays known through the next; what is gone then is forgotten.
    """
    for number in range(30):
        save(tmp_path / f"train{number}/weights/last.pt", torch_files)
    read = []
    original = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: read.append(path) or original(path))
    whole = nested_folders(tmp_path)
    reads, looks, known = len(read), 0, list[Path]()
    walk = NestedWalk(tmp_path, None, None)
    while len(known) < 30:
        read.clear()
        known = walk.look(-1.0)
        looks += 1
        assert len(read) <= 1
        assert looks <= reads
    assert known == whole
    shutil.rmtree(tmp_path / "train7")
    assert {frozenset(walk.look(-1.0)) for _ in range(reads)} == {frozenset(whole)}
    for _ in range(2 * reads):
        known = walk.look(-1.0)
    assert set(known) == set(whole) - {tmp_path / "train7/weights"}
    assert walk.look(60.0) is not None
    assert walk.look(60.0) == nested_folders(tmp_path)


def test_nested_checkpoints_have_one_order(tmp_path: Path, torch_files: Files) -> None:
    """The highest step counts, in whichever version of the folder it was saved."""
    logs = tmp_path / "lightning_logs"
    save(logs / "version_1/checkpoints/epoch=0-step=10.ckpt", torch_files)
    save(logs / "version_0/checkpoints/epoch=0-step=40.ckpt", torch_files)
    save(logs / "version_2/checkpoints/epoch=0-step=50.ckpt", torch_files).write_bytes(b"PK")
    newest = survey(SurveyRequest(tmp_path, existing="use", quiet=True)).newest_valid
    assert newest is not None
    assert newest.path == logs / "version_0/checkpoints/epoch=0-step=40.ckpt"


def test_it_is_missing_below_the_directory(tmp_path: Path) -> None:
    """A lost checkpoint from a tool's folder is not said to be in another directory."""
    from supervisor.checkpoint.records import Known

    lost = tmp_path / "lightning_logs/version_0/checkpoints/epoch=0-step=10.ckpt"
    known = (Known(str(lost), "x@1", 10, 0.0),)
    said = survey(SurveyRequest(tmp_path, known=known, quiet=True)).missing
    assert said is not None
    assert "now looks into" not in said.sentence
