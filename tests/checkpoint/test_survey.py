"""The survey: a run's checkpoints, their owners, the newest, and which need no second reading."""

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.checkpoint.records import Remembered
from supervisor.survey.answer import Survey
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey
from tests.call_count import calls_of
from tests.checkpoint.conftest import Files, MakeOurs, as_json, make_old, write_files
from tests.checkpoint.test_foreign import guide, hugging_face

_opened: list[str] | None = None


def _listen(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _opened is not None:
        _opened.append(str(arguments[0]))


sys.addaudithook(_listen)


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """Every file opened in this process from here on (audit hooks cannot be removed)."""
    global _opened
    _opened = []
    yield _opened
    _opened = None


def remember(found: Survey) -> dict[str, Remembered]:
    """What a ledger would hand to the next survey, once the files are old enough."""
    memory = {}
    for entry in found.entries:
        known = replace(entry, rememberable=entry.valid is not None).as_remembered()
        if known is not None:
            memory[str(entry.path)] = known
    return memory


def steps(found: Survey) -> list[int | None]:
    """The steps, newest first."""
    return [entry.step for entry in found.entries]


def test_no_directory_holds_nothing(tmp_path: Path) -> None:
    """An absent or empty directory is a fresh start."""
    for folder in (tmp_path, tmp_path / "absent"):
        found = survey(SurveyRequest(folder))
        assert replace(found, mount=None) == Survey()


def test_the_newest_valid_one_is_chosen(tmp_path: Path, make_ours: MakeOurs) -> None:
    """Each damage moves the choice one checkpoint back; invalid checkpoints still exist."""
    names = ["manifest.json", "model.pt", "training_state.json"]
    for step in (500, 1000, 1500):
        make_ours(tmp_path, step)
    for name, step in zip(names, (1500, 1000, 500), strict=True):
        newest = survey(SurveyRequest(tmp_path, "run")).newest_valid
        assert newest is not None
        assert newest.step == step
        (newest.path / name).write_bytes(b"")
    found = survey(SurveyRequest(tmp_path, "run"))
    assert found.newest_valid is None
    assert found.exists
    assert [entry.valid for entry in found.entries] == [False, False, False]
    assert steps(found) == [1500, 1000, 500]


def test_what_is_not_finite_is_never_chosen(tmp_path: Path, make_ours: MakeOurs) -> None:
    """A checkpoint with weights that are not finite is valid and listed, but never chosen."""
    make_ours(tmp_path, 500)
    make_ours(tmp_path, 1000, finite=False)
    first = survey(SurveyRequest(tmp_path, "run"))
    second = survey(SurveyRequest(tmp_path, "run", remember(first)))
    for found in (first, second):
        assert found.entries[0].valid
        assert found.newest_valid is not None
        assert found.newest_valid.step == 500


def test_other_names_are_passed_over(tmp_path: Path, make_ours: MakeOurs) -> None:
    """Logs, hidden directories, links and other folders are no checkpoints."""
    make_ours(tmp_path, 500)
    make_ours(tmp_path, 600, name="best")
    (tmp_path / "train.log").write_text("x")
    (tmp_path / "model.pt").write_text("x")
    (tmp_path / "wandb").mkdir()
    (tmp_path / ".staging-a").mkdir()
    (tmp_path / "checkpoint-700").symlink_to("checkpoint-500")
    assert steps(survey(SurveyRequest(tmp_path, "run"))) == [600, 500]


def test_steps_and_epochs_in_one_order(tmp_path: Path, torch_files: Files) -> None:
    """Known steps are in order; checkpoints known by epoch only stand among them by time."""
    for age, step in ((90, 500), (60, 1000), (30, 1500)):
        write_files(tmp_path / f"checkpoint-{step}", guide(torch_files, step), age)
    for age, epoch in ((50, 2), (55, 3)):
        files = guide(torch_files, 1)
        del files["training_state.json"]
        write_files(tmp_path / f"checkpoint-epoch-{epoch}", files, age)
    names = [entry.name for entry in survey(SurveyRequest(tmp_path)).entries]
    assert names == [
        "checkpoint-1500",
        "checkpoint-epoch-3",
        "checkpoint-epoch-2",
        "checkpoint-1000",
        "checkpoint-500",
    ]


def test_an_unchanged_one_is_not_opened(
    tmp_path: Path, make_ours: MakeOurs, torch_files: Files, opened: list[str]
) -> None:
    """For a remembered, unchanged checkpoint a survey only calls stat, and answers the same."""
    make_ours(tmp_path, 500)
    write_files(tmp_path / "checkpoint-1000", hugging_face(torch_files, 1000))
    request = SurveyRequest(tmp_path, "run", existing="use", quiet=True)
    first = survey(request)
    assert any("model" in name for name in opened)
    opened.clear()
    second = survey(replace(request, memory=remember(first)))
    outside = "/proc/self/mountinfo"
    assert [name for name in opened if not Path(name).is_dir() and name != outside] == []
    assert [entry.remembered for entry in second.entries] == [True, True]
    assert [replace(entry, remembered=False, rememberable=False) for entry in second.entries] == [
        replace(entry, remembered=False, rememberable=False) for entry in first.entries
    ]


def test_an_unchanged_one_costs_milliseconds(tmp_path: Path, make_ours: MakeOurs) -> None:
    """A survey of ten remembered checkpoints takes less than 5 ms for each."""
    for step in range(10):
        make_ours(tmp_path, step)
    request = SurveyRequest(tmp_path, "run")
    request = replace(request, memory=remember(survey(request)))
    times = []
    for _ in range(10):
        begun = time.perf_counter()
        survey(request)
        times.append(time.perf_counter() - begun)
    assert min(times) / 10 < 0.005


def test_damage_under_restored_times_is_seen(tmp_path: Path, make_ours: MakeOurs) -> None:
    """The ctime shows that a remembered verdict is out of date."""
    path = make_ours(tmp_path, 500) / "model.pt"
    memory = remember(survey(SurveyRequest(tmp_path, "run")))
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    found = survey(SurveyRequest(tmp_path, "run", memory))
    assert found.entries[0].valid is False


def test_one_remembered_by_hashes_needs_its_manifest(tmp_path: Path, make_ours: MakeOurs) -> None:
    """Without manifest and mark, a checkpoint remembered as ours is invalid, not foreign."""
    path = make_ours(tmp_path, 500)
    memory = remember(survey(SurveyRequest(tmp_path, "run")))
    (path / "manifest.json").unlink()
    (path / "training_state.json").write_bytes(as_json(global_step=500, current_epoch=0))
    found = survey(SurveyRequest(tmp_path, "run", memory, quiet=True))
    assert found.entries[0].valid is False
    assert found.entries[0].own_run


def test_whose_checkpoints_they_are(
    tmp_path: Path, make_ours: MakeOurs, torch_files: Files
) -> None:
    """A foreign checkpoint is the run's own only if it is newer than the first attempt."""
    begun = time.time() - 1000
    make_ours(tmp_path, 100)
    make_ours(tmp_path, 200, run_id="other")
    write_files(tmp_path / "checkpoint-300", guide(torch_files, 300), 2000)
    write_files(tmp_path / "checkpoint-400", guide(torch_files, 400), 500)
    request = SurveyRequest(tmp_path, "run", quiet=True, first_attempt_wall=begun)
    found = survey(request)
    assert [(entry.step, entry.own_run) for entry in found.entries] == [
        (400, True),
        (300, False),
        (200, False),
        (100, True),
    ]
    assert [path.name for path in found.undecided] == ["checkpoint-300", "checkpoint-200"]
    assert found.newest_valid is not None
    assert found.newest_valid.step == 400


def test_a_strangers_checkpoint_under_a_remembered_name(
    tmp_path: Path, make_ours: MakeOurs
) -> None:
    """The manifest of a checkpoint overrules what is remembered of its name."""
    make_ours(tmp_path / "out", 100)
    memory = remember(survey(SurveyRequest(tmp_path / "out", "run")))
    shutil.rmtree(tmp_path / "out" / "checkpoint-100")
    make_ours(tmp_path / "other", 100, run_id="other").rename(tmp_path / "out" / "checkpoint-100")
    found = survey(SurveyRequest(tmp_path / "out", "run", memory))
    assert [entry.own_run for entry in found.entries] == [False]
    assert found.newest_valid is None


def test_existing_ones_are_used_only_on_request(tmp_path: Path, make_ours: MakeOurs) -> None:
    """Undecided and ignored checkpoints are not chosen; `use` makes them candidates."""
    make_ours(tmp_path, 100, run_id="other")
    request = SurveyRequest(tmp_path, "run")
    undecided = survey(request)
    assert (undecided.newest_valid, undecided.exists) == (None, False)
    assert len(undecided.undecided) == 1
    ignored = survey(replace(request, existing="ignore"))
    assert (ignored.newest_valid, ignored.exists, ignored.undecided) == (None, False, ())
    used = survey(replace(request, existing="use"))
    assert used.newest_valid is not None
    assert used.undecided == ()


def test_a_foreign_one_must_be_quiet(tmp_path: Path, torch_files: Files) -> None:
    """For ten seconds after a write a foreign checkpoint is neither valid nor invalid."""
    write_files(tmp_path / "checkpoint-500", guide(torch_files, 500), 0)
    request = SurveyRequest(tmp_path, existing="use")
    found = survey(request)
    assert (found.entries[0].valid, found.newest_valid, found.exists) == (None, None, True)
    assert survey(replace(request, quiet=True)).newest_valid is not None


def test_a_file_rewritten_in_place_is_a_new_checkpoint(tmp_path: Path, torch_files: Files) -> None:
    """NanoGPT rewrites its one file: new content with a newer time is no rot."""
    path = tmp_path / "ckpt.pt"
    path.write_bytes(torch_files["model.pt"])
    make_old(path, 60)
    request = SurveyRequest(tmp_path, existing="use", quiet=True)
    memory = remember(survey(request))
    path.write_bytes(torch_files["optimizer.pt"])
    make_old(path, 30)
    found = survey(replace(request, memory=memory))
    assert found.newest_valid is not None
    assert not found.newest_valid.remembered


def test_rot_of_a_foreign_one_is_seen(tmp_path: Path, torch_files: Files) -> None:
    """Weights have no checksum of their own: the hash of the first validation shows rot."""
    path = write_files(tmp_path / "checkpoint-500", hugging_face(torch_files, 500))
    request = SurveyRequest(tmp_path, existing="use", quiet=True)
    memory = remember(survey(request))
    weights = path / "model.safetensors"
    before = weights.stat()
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert survey(request).entries[0].valid
    entry = survey(replace(request, memory=memory)).entries[0]
    assert entry.valid is False
    assert "model.safetensors changed" in (entry.reason or "")


def test_new_weights_beside_an_old_optimizer(tmp_path: Path, torch_files: Files) -> None:
    """HF killed while it saves into an old directory leaves a torn save; saved fully, it is new."""
    path = write_files(tmp_path / "checkpoint-500", hugging_face(torch_files, 500))
    request = SurveyRequest(tmp_path, existing="use", quiet=True)
    memory = remember(survey(request))
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    entry = survey(replace(request, memory=memory)).entries[0]
    assert entry.valid is False
    assert "not written anew" in (entry.reason or "")
    for one in path.iterdir():
        os.utime(one)
    assert survey(replace(request, memory=memory)).entries[0].valid


def test_a_file_that_vanished_from_a_foreign_one(tmp_path: Path, torch_files: Files) -> None:
    """Without a sibling, the checkpoint's own remembered files show which one is missing."""
    path = write_files(tmp_path / "checkpoint-500", guide(torch_files, 500))
    request = SurveyRequest(tmp_path, existing="use", quiet=True)
    memory = remember(survey(request))
    (path / "ema_model.pt").unlink()
    assert survey(request).entries[0].valid
    entry = survey(replace(request, memory=memory)).entries[0]
    assert "ema_model.pt vanished" in (entry.reason or "")


def test_in_haste_only_what_is_needed_is_read(tmp_path: Path, make_ours: MakeOurs) -> None:
    """A survey that is not thorough reads down to the newest valid checkpoint and no further."""
    for step in (500, 1000, 1500):
        make_ours(tmp_path, step)
    (tmp_path / "checkpoint-1500" / "model.pt").unlink()
    found = survey(SurveyRequest(tmp_path, "run", thorough=False))
    assert [entry.valid for entry in found.entries] == [False, True, None]


def test_directories_that_vanish_while_being_read(tmp_path: Path, make_ours: MakeOurs) -> None:
    """The trainer's own rotation beside surveys raises nothing, and the newest stays valid."""
    ended = threading.Event()
    problems: list[str] = []

    def rotate() -> None:
        for step in range(40):
            make_ours(tmp_path, step)
            if step >= 2:
                shutil.rmtree(tmp_path / f"checkpoint-{step - 2}")
        ended.set()

    writer = threading.Thread(target=rotate)
    writer.start()
    count = 0
    while not ended.is_set():
        count += 1
        found = survey(SurveyRequest(tmp_path, "run"))
        # A half-deleted directory may show as damaged for a moment, but the newest must not.
        problems += [entry.name for entry in found.entries[:1] if entry.valid is False]
    writer.join()
    assert count > 3
    assert problems == []


def test_one_that_cannot_be_listed(
    tmp_path: Path, make_ours: MakeOurs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint without read permission stays undecided, and the one before is chosen."""
    for step in (500, 1000):
        make_ours(tmp_path, step)
    real = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("checkpoint-1000"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = survey(SurveyRequest(tmp_path, "run"))
    assert found.entries[0].valid is None
    assert "Permission denied" in (found.entries[0].reason or "")
    assert found.newest_valid is not None
    assert found.newest_valid.step == 500


def test_thousands_of_entries(tmp_path: Path, torch_files: Files) -> None:
    """The work grows with the number of files and checkpoints, not with its square."""
    request, costs = SurveyRequest(tmp_path, existing="use", quiet=True), []
    for many in (range(500), range(500, 1000)):
        for number in many:
            (tmp_path / f"sample-{number}.png").touch()
            (tmp_path / f"checkpoint-{number}").mkdir()
        costs.append(calls_of(lambda: survey(request)))
    assert costs[1] < 3 * costs[0]
    found = survey(request)
    assert len(found.entries) == 1000
    assert {entry.reason for entry in found.entries} == {"it holds no file of weights or state"}
