"""Setting aside, pruning and pinning: nothing is lost, nothing good is deleted."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.checkpoint import pins, pointers, prune, set_aside
from supervisor.checkpoint.records import CheckpointEntry
from supervisor.checkpoint.validate import validate
from supervisor.errors import SupervisorError
from supervisor.survey.answer import Survey
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey
from tests.checkpoint.conftest import Files, MakeOurs, write_files
from tests.checkpoint.test_foreign import guide
from tests.checkpoint.test_survey import remember


def look(directory: Path) -> Survey:
    """Survey the run's own checkpoints."""
    return survey(SurveyRequest(directory, "run", quiet=True))


def put_later_aside(directory: Path, step: int) -> list[Path]:
    """Set aside all checkpoints after a step, and return their new places."""
    return [
        set_aside.put_aside(entry.path, set_aside.SUPERSEDED, f"the run went back to step {step}")
        for entry in look(directory).entries
        if entry.tier == "disk" and (entry.step or 0) > step
    ]


def names(entries: tuple[CheckpointEntry, ...]) -> list[str]:
    """The names of these checkpoints."""
    return [entry.name for entry in entries]


def test_a_bad_one_is_set_aside_with_its_reason(tmp_path: Path, make_ours: MakeOurs) -> None:
    """A set-aside checkpoint is listed with its reason, is no candidate, and frees its name."""
    for _ in range(2):
        (make_ours(tmp_path, 500) / "model.pt").unlink()
        (entry,) = (entry for entry in look(tmp_path).entries if entry.tier == "disk")
        place = set_aside.put_aside(entry.path, set_aside.INVALID, entry.reason or "")
        assert set_aside.read_reason(place) == "model.pt is missing"
    with pytest.raises(FileNotFoundError):
        set_aside.put_aside(entry.path, set_aside.INVALID, "again")
    found = look(tmp_path)
    assert names(found.entries) == ["checkpoint-500.2", "checkpoint-500"]
    assert {(entry.tier, entry.valid, entry.reason) for entry in found.entries} == {
        ("set_aside", False, "model.pt is missing")
    }
    assert (found.newest_valid, found.exists) == (None, True)


def test_later_ones_are_set_aside(tmp_path: Path, make_ours: MakeOurs) -> None:
    """Checkpoints set aside stay whole and listed, and the newest is the one before them."""
    for step in (500, 1000, 1500):
        make_ours(tmp_path, step)
    moved = put_later_aside(tmp_path, 500)
    assert [place.name for place in moved] == ["checkpoint-1500", "checkpoint-1000"]
    assert all(validate(place).valid for place in moved)
    found = look(tmp_path)
    assert found.newest_valid is not None
    assert found.newest_valid.step == 500
    assert names(found.entries) == ["checkpoint-500", "checkpoint-1500", "checkpoint-1000"]
    assert put_later_aside(tmp_path, 500) == []


def test_what_is_set_aside_keeps_its_verdict(tmp_path: Path, make_ours: MakeOurs) -> None:
    """A directory that only moved is the same checkpoint, so its verdict is remembered."""
    make_ours(tmp_path, 500)
    first = look(tmp_path)
    put_later_aside(tmp_path, 0)
    request = SurveyRequest(tmp_path, "run", remember(first))
    (entry,) = survey(request).entries
    assert (entry.tier, entry.valid, entry.remembered) == ("set_aside", True, True)
    assert entry.reason == "the run went back to step 0"


def test_a_single_file_is_set_aside_too(tmp_path: Path, torch_files: Files) -> None:
    """Setting a file aside does not replace another file of its name."""
    request = SurveyRequest(tmp_path, existing="use", quiet=True)
    for _ in range(2):
        (tmp_path / "ckpt.pt").write_bytes(torch_files["model.pt"][:-30])
        entry = survey(request).entries[0]
        assert entry.valid is False
        set_aside.put_aside(entry.path, set_aside.INVALID, "torn")
    left = os.listdir(tmp_path / ".set-aside" / "invalid")
    assert {"ckpt.pt", "ckpt.pt.2"} < set(left)


def test_the_plan_keeps_the_newest(tmp_path: Path, make_ours: MakeOurs) -> None:
    """`keep` counts the run's own checkpoints: not invalid, pinned or foreign ones."""
    for step in range(1, 8):
        make_ours(tmp_path, step * 100)
    make_ours(tmp_path, 50, run_id="other")
    (tmp_path / "checkpoint-700" / "model.pt").unlink()
    entries = look(tmp_path).entries
    assert prune.plan(entries, None, ()) == ()
    assert names(prune.plan(entries, 3, ())) == [
        "checkpoint-100",
        "checkpoint-200",
        "checkpoint-300",
    ]
    assert names(prune.plan(entries, 3, {"checkpoint-100", "checkpoint-600"})) == ["checkpoint-200"]
    assert "checkpoint-600" not in names(prune.plan(entries, 0, ()))


def test_the_newest_valid_one_is_never_pruned(tmp_path: Path, make_ours: MakeOurs) -> None:
    """The newest usable checkpoint is kept even if newer, unusable ones fill the quota."""
    make_ours(tmp_path, 100)
    for step in (200, 300, 400):
        make_ours(tmp_path, step, finite=False)
    assert prune.plan(look(tmp_path).entries, 1, ()) == tuple(
        entry for entry in reversed(look(tmp_path).entries) if entry.step in (200, 300)
    )


def test_foreign_ones_are_pruned_only_on_request(tmp_path: Path, torch_files: Files) -> None:
    """A `keep` set by the user covers foreign checkpoints, the default does not."""
    for step in (100, 200, 300):
        write_files(tmp_path / f"checkpoint-{step}", guide(torch_files, step))
    request = SurveyRequest(tmp_path, "run", quiet=True, first_attempt_wall=0.0)
    entries = survey(request).entries
    assert prune.plan(entries, 1, ()) == ()
    assert names(prune.plan(entries, 1, (), include_foreign=True)) == [
        "checkpoint-100",
        "checkpoint-200",
    ]


def test_a_removal_is_whole(
    tmp_path: Path, make_ours: MakeOurs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A removal cut off after its rename leaves nothing under the name and is finished later."""
    make_ours(tmp_path, 100)
    entry = look(tmp_path).entries[0]

    def end(path: Path) -> bool:
        if path.exists():
            raise KeyboardInterrupt
        return False

    with monkeypatch.context() as patch:
        patch.setattr(prune, "discard", end)
        with pytest.raises(KeyboardInterrupt):
            prune.remove(entry)
    assert look(tmp_path).entries == ()
    assert [path.name for path in prune.finish_removals(tmp_path)] == [".deleting-checkpoint-100"]
    make_ours(tmp_path, 100)
    prune.remove(entry)
    prune.remove(entry)
    assert not (tmp_path / "checkpoint-100").exists()
    assert os.listdir(tmp_path) == []
    assert prune.finish_removals(tmp_path / "absent") == ()


def test_one_that_was_set_aside_can_be_removed(tmp_path: Path, make_ours: MakeOurs) -> None:
    """A checkpoint can be removed from its shelf in the same way."""
    make_ours(tmp_path, 100)
    put_later_aside(tmp_path, 0)
    prune.remove(look(tmp_path).entries[0])
    assert look(tmp_path).entries == ()


def roots(saves: Path, run: Path, elsewhere: Path, where: str) -> tuple[Path, Path]:
    """The run's root with which things land at `where`, and the folder in which they land."""
    saves.mkdir()
    run.mkdir()
    beside = saves.with_name(".saves.set-aside")
    if where == "inside":
        beside.touch()
    place = {"run": run / "set-aside", "beside": beside, "inside": saves / ".set-aside"}[where]
    return (run if where == "run" else elsewhere) / "set-aside", place


@pytest.mark.parametrize("where", ["run", "beside", "inside"])
@pytest.mark.parametrize("is_link", [False, True])
def test_the_first_place_that_takes_a_rename(
    tmp_path: Path, elsewhere: Path, make_ours: MakeOurs, where: str, is_link: bool
) -> None:
    """Run directory, beside, inside: the first that takes a rename is used, others stay empty."""
    saves = tmp_path / "saves"
    run_root, root = roots(saves, tmp_path / "run", elsewhere, where)
    if is_link:
        (tmp_path / "link").symlink_to(saves)
        saves = tmp_path / "link"
    for step in (100, 200, 300):
        make_ours(saves, step)
    tried = set_aside.roots_of(saves, run_root)
    for step, name in ((200, set_aside.INVALID), (300, set_aside.SUPERSEDED)):
        place = set_aside.put_aside(saves / f"checkpoint-{step}", name, "why", roots=tried)
        assert place.resolve() == root / name / f"checkpoint-{step}"
    assert set(os.listdir(saves)) - {".set-aside"} == {"checkpoint-100"}
    assert (saves / ".set-aside").exists() == (where == "inside")
    assert os.listdir(elsewhere) == []
    request = SurveyRequest(saves, "run", quiet=True, set_aside=run_root)
    assert SurveyRequest.from_json(request.to_json()) == request
    found = survey(request).entries
    assert [(one.name, one.tier) for one in found] == [
        ("checkpoint-100", "disk"),
        ("checkpoint-300", "set_aside"),
        ("checkpoint-200", "set_aside"),
    ]
    for entry in found:
        prune.remove(entry, run_root)
    assert survey(request).entries == ()
    assert os.listdir(saves) == []
    assert not root.is_dir()


@pytest.mark.parametrize("where", ["run", "beside", "inside"])
def test_an_interrupted_removal_is_finished_in_every_place(
    tmp_path: Path, elsewhere: Path, make_ours: MakeOurs, where: str
) -> None:
    """The place that an earlier version used is cleaned, too, and its folder is removed."""
    saves = tmp_path / "saves"
    run_root, root = roots(saves, tmp_path / "run", elsewhere, where)
    make_ours(saves, 100).rename(tmp_path / "doomed")
    for place in {root, saves / ".set-aside"}:
        shutil.copytree(tmp_path / "doomed", place / ".deleting-checkpoint-100")
    removed = prune.finish_removals(saves, run_root)
    assert {path.parent for path in removed} == {root, saves / ".set-aside"}
    assert os.listdir(saves) == []
    assert not root.is_dir()


def test_what_is_set_aside_is_counted(tmp_path: Path, make_ours: MakeOurs) -> None:
    """A set-aside checkpoint counts as existing: beginning from nothing would lose it."""
    saves, run_root = tmp_path / "saves", tmp_path / "set-aside"
    place = make_ours(saves, 100)
    set_aside.put_aside(place, set_aside.INVALID, "why", roots=set_aside.roots_of(saves, run_root))
    assert survey(SurveyRequest(saves, "run", set_aside=run_root)).exists
    assert not survey(SurveyRequest(saves, "run")).exists


def test_a_folder_removed_meanwhile_is_made_again(
    tmp_path: Path, make_ours: MakeOurs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pruner may remove an empty folder at any moment: it is made again."""
    real, count = set_aside.make, 0

    def make(root: Path, *below: str) -> None:
        nonlocal count
        real(root, *below)
        count += 1
        if count % 3:
            set_aside.remove_if_empty(root.joinpath(*below), root)

    monkeypatch.setattr(set_aside, "make", make)
    run_root = tmp_path / "set-aside"
    for step in (100, 200):
        make_ours(tmp_path / "saves", step)
    prune.remove(look(tmp_path / "saves").entries[0], run_root)
    assert (os.listdir(tmp_path / "saves"), count) == (["checkpoint-100"], 3)
    tried = set_aside.roots_of(tmp_path / "saves", run_root)
    place = set_aside.put_aside(tmp_path / "saves/checkpoint-100", "invalid", "why", roots=tried)
    assert (place, count) == (run_root / "invalid" / "checkpoint-100", 6)


def test_what_a_stranger_laid_beside_is_not_used(tmp_path: Path, make_ours: MakeOurs) -> None:
    """A stranger's link in the name of our folder is not used: it leads out of the directory."""
    make_ours(tmp_path / "saves", 100)
    (tmp_path / "loot").mkdir()
    (tmp_path / ".saves.set-aside").symlink_to(tmp_path / "loot")
    tried = set_aside.roots_of(tmp_path / "saves")
    place = set_aside.put_aside(tmp_path / "saves/checkpoint-100", "invalid", "why", roots=tried)
    assert place.parent.parent == tmp_path / "saves/.set-aside"
    assert os.listdir(tmp_path / "loot") == []


@pytest.mark.parametrize("where", ["run", "beside", "inside"])
@pytest.mark.parametrize("what", ["root", "invalid", "superseded"])
def test_nothing_is_done_beyond_a_link(
    tmp_path: Path, make_ours: MakeOurs, where: str, what: str
) -> None:
    """Behind a link in the name of a place or shelf nothing is listed, moved or deleted."""
    saves, run_root, loot = tmp_path / "saves", tmp_path / "run" / "set-aside", tmp_path / "loot"
    for step in (100, 200, 300):
        make_ours(saves, step)
    mine = make_ours(loot if what != "root" else loot / "superseded", 900)
    (loot / ".deleting-x").mkdir()
    (loot / ".deleting-x" / "f").write_text("precious")
    before = sorted(loot.rglob("*"))
    root = {"run": run_root, "beside": tmp_path / ".saves.set-aside",
            "inside": saves / ".set-aside"}[where]  # fmt: skip
    link = root if what == "root" else root / what
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(loot)

    request = SurveyRequest(saves, "run", quiet=True, set_aside=run_root)
    listed = survey(request).entries
    assert names(listed) == ["checkpoint-300", "checkpoint-200", "checkpoint-100"]
    tried = set_aside.roots_of(saves, run_root)
    assert link not in tried
    for step, name in ((300, set_aside.SUPERSEDED), (200, set_aside.INVALID)):
        place = set_aside.put_aside(saves / f"checkpoint-{step}", name, "why", roots=tried)
        assert loot not in place.resolve().parents
    prune.remove(listed[2], run_root)
    if what != "root":
        # This entry was listed before the link was laid.
        prune.remove(replace(listed[2], path=link / mine.name, tier="set_aside"), run_root)
    prune.finish_removals(saves, run_root)
    pointers.find_pointers(saves, tried, tmp_path)
    assert sorted(loot.rglob("*")) == before
    assert link.is_symlink()
    found = {(one.name, one.tier) for one in survey(request).entries}
    assert found == {("checkpoint-300", "set_aside"), ("checkpoint-200", "set_aside")}


def test_a_link_in_every_place(tmp_path: Path, make_ours: MakeOurs) -> None:
    """With a link in every place, nothing is set aside or removed, and an error says so."""
    saves, loot = tmp_path / "saves", tmp_path / "loot"
    make_ours(saves, 100)
    loot.mkdir()
    for place in (saves / ".set-aside", tmp_path / ".saves.set-aside"):
        place.symlink_to(loot)
    (entry,) = look(saves).entries
    assert set_aside.roots_of(saves) == ()
    with pytest.raises(NotADirectoryError):
        set_aside.put_aside(entry.path, set_aside.INVALID, "why", roots=set_aside.roots_of(saves))
    with pytest.raises(NotADirectoryError):
        prune.remove(entry)
    assert prune.finish_removals(saves) == ()
    assert names(look(saves).entries) == ["checkpoint-100"]
    assert os.listdir(loot) == []


def test_a_writer_beside_a_link(tmp_path: Path, make_ours: MakeOurs) -> None:
    """A save under a taken name moves the old checkpoint beside the directory, not into a link."""
    saves, loot = tmp_path / "saves", tmp_path / "loot"
    loot.mkdir()
    make_ours(saves, 100)
    (saves / ".set-aside").symlink_to(loot)
    make_ours(saves, 100)
    assert os.listdir(loot) == []
    assert [(one.name, one.tier) for one in look(saves).entries] == [
        ("checkpoint-100", "disk"), ("checkpoint-100", "set_aside"),
    ]  # fmt: skip


def test_a_closed_folder_beside_holds_no_survey_up(
    tmp_path: Path, make_ours: MakeOurs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder beside that cannot be read holds nothing of this run, and the survey goes on."""
    make_ours(tmp_path / "saves", 100)
    (tmp_path / ".saves.set-aside" / "invalid").mkdir(parents=True)
    real = os.scandir

    def scandir(path: Path) -> object:
        if ".saves.set-aside" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert names(look(tmp_path / "saves").entries) == ["checkpoint-100"]


def test_one_that_vanishes_is_told(tmp_path: Path, make_ours: MakeOurs) -> None:
    """A trainer's rotation may remove a checkpoint first: an error, and no place is made."""
    tried = set_aside.roots_of(tmp_path / "saves", tmp_path / "set-aside")
    (tmp_path / "saves").mkdir()
    with pytest.raises(FileNotFoundError):
        set_aside.put_aside(tmp_path / "saves/checkpoint-1", "invalid", "why", roots=tried)
    assert os.listdir(tmp_path) == ["saves"]


@pytest.fixture(params=["bind", "tmpfs"])
def mounted(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A checkpoint directory that is a mount of its own, so that no rename leads out of it.

    `bind` mounts the same disk, with one `st_dev` inside and outside; `tmpfs` mounts another.
    """
    place = tmp_path / "above" / "saves"
    place.mkdir(parents=True)
    (tmp_path / "real").mkdir()
    how = {"bind": ["--bind", tmp_path / "real"], "tmpfs": ["-t", "tmpfs", "none"]}
    subprocess.run(["mount", *how[request.param], place], check=True)
    is_one_device = place.stat().st_dev == place.parent.stat().st_dev
    assert is_one_device == (request.param == "bind")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.root
def test_a_mount_is_not_left(mounted: Path, make_ours: MakeOurs) -> None:
    """No rename leads out of a mount: the checkpoint is set aside inside, nothing outside."""
    make_ours(mounted, 100)
    run_root = mounted.parent / "set-aside"
    tried = set_aside.roots_of(mounted, run_root)
    place = set_aside.put_aside(mounted / "checkpoint-100", "invalid", "why", roots=tried)
    assert place == mounted / ".set-aside/invalid/checkpoint-100"
    assert os.listdir(mounted.parent) == ["saves"]


@pytest.mark.root
def test_a_run_directory_beyond_a_bind_mount(mounted: Path, make_ours: MakeOurs) -> None:
    """With the run directory outside the mount of the saves, the folder beside is used."""
    make_ours(mounted / "deeper", 100)
    tried = set_aside.roots_of(mounted / "deeper", mounted.parent / "set-aside")
    place = set_aside.put_aside(mounted / "deeper/checkpoint-100", "invalid", "why", roots=tried)
    assert place == mounted / ".deeper.set-aside/invalid/checkpoint-100"
    assert os.listdir(mounted / "deeper") == []
    assert os.listdir(mounted.parent) == ["saves"]


def test_pins(tmp_path: Path, make_ours: MakeOurs) -> None:
    """Checkpoints are pinned and unpinned by name, twice is once, and the survey shows the pin."""
    folder = tmp_path / "pins"
    assert pins.pinned(folder) == frozenset()
    make_ours(tmp_path, 100)
    for _ in range(2):
        pins.pin(folder, "checkpoint-100")
    assert pins.pinned(folder) == {"checkpoint-100"}
    entry = survey(SurveyRequest(tmp_path, "run", pins=pins.pinned(folder))).entries[0]
    assert entry.pinned
    assert entry.as_json()["pinned"] is True
    assert prune.plan((replace(entry, step=200), entry), 1, ()) == ()
    assert pins.unpin(folder, "checkpoint-100")
    assert not pins.unpin(folder, "checkpoint-100")
    assert pins.pinned(folder) == frozenset()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0"])
def test_a_pin_is_a_name(tmp_path: Path, name: str) -> None:
    """A path or an empty name is refused with a hint."""
    with pytest.raises(SupervisorError):
        pins.pin(tmp_path, name)
