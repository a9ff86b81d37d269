"""What makes a checkpoint: a known name, our mark or the user's pattern; nothing else is judged."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.checkpoint import prune
from supervisor.checkpoint.records import Remembered
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey
from tests.checkpoint.conftest import Files, MakeOurs, as_json, make_old, write_files
from tests.checkpoint.test_foreign import guide, hugging_face
from tests.checkpoint.test_survey import remember

# Files that lie beside checkpoints under names of ours or of HF's.
BYSTANDERS: dict[str, Files] = {
    "a list of samples": {"manifest.json": b'[{"audio_filepath": "a.wav"}]', "shard-0.bin": b"x"},
    "lines of samples": {"manifest.json": b'{"audio": "a"}\n{"audio": "b"}\n', "a.tar": b"x"},
    "a data set": {"manifest.json": as_json(format="webdataset", files=["a.tar"]), "a.tar": b"x"},
    "an experiment": {"manifest.json": as_json(run_id="1", files={}, format=2), "m.bin": b"x"},
    "an export": {"trainer_state.json": as_json(global_step=9), "model.safetensors": b"x"},
    "another's state": {"training_state.json": as_json(global_step=9), "model.pt": b"x"},
    "a torn file": {"manifest.json": b'{"format": 1, "fi', "model.pt": b"x"},
    "no text at all": {"manifest.json": bytes(100), "training_state.json": b"\xff\xfe"},
}


def look(folder: Path, **changes: object) -> SurveyRequest:
    """A request of the run itself, nothing being written."""
    request = SurveyRequest(folder, "run", quiet=True, first_attempt_wall=0.0)
    return replace(request, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("what", BYSTANDERS)
def test_a_bystander_is_left_alone(tmp_path: Path, torch_files: Files, what: str) -> None:
    """A bystander is not listed, takes no checkpoint's place, and makes none incomplete."""
    for step in (100, 200, 300):
        write_files(tmp_path / f"checkpoint-{step}", guide(torch_files, step))
    write_files(tmp_path / "tokenized", BYSTANDERS[what])
    found = survey(look(tmp_path))
    assert [(entry.name, entry.valid) for entry in found.entries] == [
        ("checkpoint-300", True),
        ("checkpoint-200", True),
        ("checkpoint-100", True),
    ]
    doomed = prune.plan(found.entries, 2, (), include_foreign=True)
    assert [entry.name for entry in doomed] == ["checkpoint-100"]


def test_a_bystander_is_not_listed_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A data set may hold a million files: the survey does not list it."""
    write_files(tmp_path / "data", BYSTANDERS["a list of samples"])
    scanned = []
    original = os.scandir

    def scandir(path: str | Path) -> object:
        scanned.append(Path(path).name)
        return original(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert survey(look(tmp_path)).entries == ()
    assert "data" not in scanned


def test_a_directory_of_any_name_with_our_mark(tmp_path: Path, make_ours: MakeOurs) -> None:
    """A manifest, our training state, or the memory of a manifest marks a checkpoint as ours."""
    for step, name in ((100, "best"), (200, "back-up"), (300, "final")):
        make_ours(tmp_path, step, name=name)
    request = look(tmp_path)
    memory = remember(survey(request))
    (tmp_path / "back-up" / "manifest.json").unlink()
    for name in ("manifest.json", "training_state.json"):
        (tmp_path / "final" / name).unlink()
    valid = {entry.name: entry.valid for entry in survey(replace(request, memory=memory)).entries}
    assert valid == {"best": True, "back-up": False, "final": False}
    assert {entry.name for entry in survey(request).entries} == {"best", "back-up"}


def test_marks_are_read_as_plain_files(tmp_path: Path, make_ours: MakeOurs) -> None:
    """A link out of the directory, a pipe or a huge file is no mark, and delays nothing."""
    ours = make_ours(tmp_path / "elsewhere", 100)
    for name in ("linked", "piped", "huge"):
        (tmp_path / "saves" / name).mkdir(parents=True)
    (tmp_path / "saves" / "linked" / "manifest.json").symlink_to(ours / "manifest.json")
    os.mkfifo(tmp_path / "saves" / "piped" / "training_state.json")
    with (tmp_path / "saves" / "huge" / "manifest.json").open("wb") as file:
        file.write((ours / "manifest.json").read_bytes())
        file.truncate(1 << 40)
    assert survey(look(tmp_path / "saves")).entries == ()


def test_a_foreign_manifest_in_a_known_checkpoint(tmp_path: Path, torch_files: Files) -> None:
    """A tool's own manifest.json beside its weights does not make its checkpoint ours."""
    files = {**hugging_face(torch_files, 100), **BYSTANDERS["a data set"]}
    write_files(tmp_path / "checkpoint-100", files)
    entry = survey(look(tmp_path)).entries[0]
    assert (entry.valid, entry.ours, entry.reason) == (True, False, None)


def test_a_known_name_is_judged_whatever_is_in_it(tmp_path: Path) -> None:
    """A directory named `checkpoint-N` is judged: without weights it is a torn checkpoint."""
    write_files(tmp_path / "checkpoint-100", {"readme.md": b"x"})
    assert survey(look(tmp_path)).entries[0].valid is False


def test_a_remembered_stranger_is_no_checkpoint(tmp_path: Path) -> None:
    """An export that an earlier version remembered as a checkpoint is forgotten."""
    folder = write_files(tmp_path / "export", BYSTANDERS["an export"])
    known = Remembered("x@1", True, "files", None, {}, 9, None, None, 1)
    assert survey(look(tmp_path, memory={str(folder): known})).entries == ()


@pytest.mark.parametrize("name", ["m-10.h5", "m-10.keras", "m-10.pth.tar", "m-10", "m-10.zip"])
def test_any_ending_by_pattern(tmp_path: Path, name: str) -> None:
    """The user's pattern alone decides, for a file and for a directory."""
    pattern = r"m-(?P<step>\d+)(?:\..+)?"
    (tmp_path / name).write_bytes(b"weights")
    write_files(tmp_path / "m-20", {"weights.bin": b"weights"})
    make_old(tmp_path / name)
    entries = survey(look(tmp_path, pattern=pattern)).entries
    assert [(entry.name, entry.step) for entry in entries] == [("m-20", 20), (name, 10)]


def test_a_pattern_makes_no_file_of_another_name_one(tmp_path: Path) -> None:
    """A file that is named like a checkpoint directory is no checkpoint."""
    for name in ("checkpoint-7", "step-10", "iter_5", "m-1.h5"):
        (tmp_path / name).write_bytes(b"notes")
    found = survey(look(tmp_path, pattern=r"m-(?P<step>\d+)\.h5"))
    assert [entry.name for entry in found.entries] == ["m-1.h5"]


def test_orbax_directories(tmp_path: Path) -> None:
    """A bare number with orbax's mark is a checkpoint; without it, or temporary, it is none."""
    for step in (5, 25):
        files = {"_CHECKPOINT_METADATA": b"{}", "state/data.bin": b"weights"}
        write_files(tmp_path / str(step), files)
    write_files(tmp_path / "30", {"image.png": b"x"})
    write_files(tmp_path / "35.orbax-checkpoint-tmp-1", {"_CHECKPOINT_METADATA": b"{}"})
    assert [entry.step for entry in survey(look(tmp_path)).entries] == [25, 5]


def test_what_is_asked_before_the_first_launch(tmp_path: Path) -> None:
    """A data set in an otherwise empty directory raises no question about existing checkpoints."""
    write_files(tmp_path / "tokenized", BYSTANDERS["a data set"])
    (tmp_path / "labels.json").write_text(json.dumps([1]))
    found = survey(SurveyRequest(tmp_path, "run"))
    assert (found.undecided, found.exists) == ((), False)
