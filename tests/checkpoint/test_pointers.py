"""A trainer's own pointers follow the daemon's choice or go; other files and links stay as is."""

import os
from pathlib import Path

import pytest

from supervisor.checkpoint import pointers, prune, set_aside
from supervisor.checkpoint.commit import clean_staging
from supervisor.checkpoint.pointers import Correction
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey


@pytest.fixture
def saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint directory below the trainer's working directory."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "work" / "saves"
    folder.mkdir(parents=True)
    return folder


def make(saves: Path, *names: str) -> None:
    """Make checkpoints: a file for a name with an ending, otherwise a directory."""
    for name in names:
        path = saves / name
        if path.suffix:
            path.write_bytes(b"weights")
        else:
            path.mkdir()
            (path / "model.pt").write_bytes(b"weights")


def places(saves: Path) -> tuple[Path, ...]:
    """The places for what is set aside, the run directory's first."""
    return set_aside.roots_of(saves, saves.parent / "set-aside")


def put_aside(saves: Path, *names: str, why: str = set_aside.INVALID) -> None:
    """Set checkpoints aside."""
    for name in names:
        set_aside.put_aside(saves / name, why, "torn", roots=places(saves))


def follow(saves: Path, chosen: str | None) -> list[Correction]:
    """Correct the pointers, as the daemon does before it launches."""
    target = None if chosen is None else saves / chosen
    found = pointers.find_pointers(saves, places(saves), Path.cwd(), target)
    return [pointers.correct(one, target, places(saves)) for one in found]


MMENGINE = ("iter_30.pth", "iter_40.pth", "last_checkpoint")
# For each tool: the older checkpoint, the newer one, the pointer, and what it says for the newer.
FILES = {
    "DeepSpeed": ("global_step30", "global_step40", "latest", "global_step40"),
    "a newline": ("global_step30", "global_step40", "latest", "global_step40\n"),
    "DeepSpeed, universal": ("global_step30", "global_step40", "latest_universal", "global_step40"),
    "Megatron": ("iter_0000030", "iter_0000040", "latest_checkpointed_iteration.txt", "40"),
    "Megatron, a newline": (
        *("iter_0000030", "iter_0000040", "latest_checkpointed_iteration.txt", "40\n"),
    ),
    "verl": ("global_step_30", "global_step_40", "latest_checkpointed_iteration.txt", "40"),
    "padded": ("iter_0000030", "iter_0000040", "latest_checkpointed_iteration.txt", "0000040"),
    "detectron2": ("model_0030.pth", "model_0040.pth", "last_checkpoint", "model_0040.pth"),
    "mmengine": (*MMENGINE, "work/saves/iter_40.pth"),
    "mmengine, dotted": (*MMENGINE, "./work/saves/iter_40.pth"),
    "mmengine, absolute": (*MMENGINE, "{cwd}/work/saves/iter_40.pth"),
    "mmengine, from the directory": (*MMENGINE, "./iter_40.pth"),
    "a file within": ("step_30", "step_40", "latest.txt", "step_40/model.pt\r\n"),
    "a step": ("step_30", "step_40", "latest", " 40 "),
    "a number, latest": ("step_30", "step_40", "latest_checkpoint", "40"),
    "a number, last": ("step_30", "step_40", "last_checkpoint.txt", "40"),
    "a name in any of them": ("step_30", "step_40", "latest_run.txt", "step_40"),
}  # fmt: skip


@pytest.mark.parametrize("tool", FILES)
@pytest.mark.parametrize("mode", [0o644, 0o600, 0o664])
def test_a_file_names_the_chosen_one(saves: Path, tool: str, mode: int) -> None:
    """The pointer file keeps newline, zeroes, path and permissions, and no other file is left."""
    old, new, name, said = FILES[tool]
    content, expected = (
        one.replace("{cwd}", str(Path.cwd())) for one in (said, said.replace("40", "30"))
    )
    make(saves, old, new)
    pointer = saves / name
    pointer.write_bytes(content.encode())
    pointer.chmod(mode)
    assert follow(saves, old) == []
    put_aside(saves, new)
    (done,) = follow(saves, old)
    assert pointer.read_bytes() == expected.encode()
    assert (done.was, done.to, done.place) == (content.strip(), expected.strip(), None)
    assert pointer.stat().st_mode & 0o777 == mode
    assert sorted(os.listdir(saves)) == sorted([old, name])
    assert follow(saves, old) == []


@pytest.mark.parametrize("tool", FILES)
def test_with_none_chosen_a_file_is_set_aside(saves: Path, tool: str) -> None:
    """The pointer lies beside the checkpoint that it names, with a reason, and is not listed."""
    _, new, name, content = FILES[tool]
    content = content.replace("{cwd}", str(Path.cwd()))
    make(saves, new)
    (saves / name).write_bytes(content.encode())
    put_aside(saves, new)
    (done,) = follow(saves, None)
    assert done.to is None
    assert done.place == saves.parent / "set-aside" / "invalid" / name
    assert done.place.read_bytes() == content.encode()
    assert new in (set_aside.read_reason(done.place) or "")
    assert os.listdir(saves) == []
    request = SurveyRequest(saves, set_aside=saves.parent / "set-aside")
    assert [one.name for one in survey(request).entries] == [new]


# For each kind: the older checkpoint, the newer one, the link, and the link's target.
LINKS = {
    "DeepSpeed's name": ("global_step30", "global_step40", "latest", "global_step40"),
    "a file": ("step-30.pt", "step-40.pt", "latest.pt", "step-40.pt"),
    "Lightning": (
        *("epoch=0-step=30.ckpt", "epoch=1-step=40.ckpt", "last.ckpt", "epoch=1-step=40.ckpt"),
    ),
    "absolute": ("step-30.pt", "step-40.pt", "latest.pt", "{saves}/step-40.pt"),
    "dotted": ("checkpoint-30", "checkpoint-40", "current", "./checkpoint-40"),
    "by way of above": ("checkpoint-30", "checkpoint-40", "resume", "../saves/checkpoint-40"),
    "a slash": ("checkpoint-30", "checkpoint-40", "newest", "checkpoint-40/"),
    "a file within": ("checkpoint-30", "checkpoint-40", "model.pt", "checkpoint-40/model.pt"),
    "a rank": ("ep-30.pt", "ep-40.pt", "latest-rank0.pt", "ep-40.pt"),
}  # fmt: skip


@pytest.mark.parametrize("kind", LINKS)
def test_a_link_leads_to_the_chosen_one(saves: Path, kind: str) -> None:
    """A link is pointed at the chosen checkpoint, in the form that it had."""
    old, new, name, target = LINKS[kind]
    target = target.replace("{saves}", str(saves))
    make(saves, old, new)
    (saves / name).symlink_to(target)
    written = os.readlink(saves / name)
    assert follow(saves, old) == []
    put_aside(saves, new, why=set_aside.SUPERSEDED)
    (done,) = follow(saves, old)
    assert os.readlink(saves / name) == written.replace(new, old) == done.to
    assert (saves / name).exists()
    assert sorted(os.listdir(saves)) == sorted([old, name])
    assert follow(saves, old) == []


@pytest.mark.parametrize("name", ["latest", "best.ckpt", "epoch_3.ckpt"])
def test_a_link_that_cannot_lead_there_goes(saves: Path, name: str) -> None:
    """A link goes if no checkpoint is chosen, or if its name would be untrue for the chosen one."""
    make(saves, "step-30.ckpt", "step-40.ckpt")
    (saves / name).symlink_to("step-40.ckpt")
    put_aside(saves, "step-40.ckpt")
    (done,) = follow(saves, None if name == "latest" else "step-30.ckpt")
    assert done.to is None
    assert done.place == saves.parent / "set-aside" / "invalid" / name
    assert os.readlink(done.place) == "step-40.ckpt"
    assert os.listdir(saves) == ["step-30.ckpt"]


def test_a_chosen_one_that_cannot_be_named(saves: Path, tmp_path: Path) -> None:
    """A pointer goes if it cannot name the chosen one: in memory, of another series or ending."""
    memory = tmp_path / "memory" / "checkpoint-45"
    memory.mkdir(parents=True)
    make(saves, "iter_0000040", "checkpoint-30", "step-41.pt", "step-30.safetensors")
    (saves / "latest_checkpointed_iteration.txt").write_text("40")
    (saves / "latest").write_text("iter_0000040")
    (saves / "last.pt").symlink_to("step-41.pt")
    put_aside(saves, "iter_0000040", "step-41.pt")
    found = {one.path.name: one for one in pointers.find_pointers(saves, places(saves), Path())}
    assert set(found) == {"latest_checkpointed_iteration.txt", "latest", "last.pt"}
    cannot = [
        ("latest_checkpointed_iteration.txt", saves / "checkpoint-30"),
        ("latest", saves / "step-30.safetensors"),
        ("last.pt", saves / "step-30.safetensors"),
    ]
    for name, chosen in cannot:
        done = pointers.correct(found[name], chosen, places(saves))
        assert (done.to, done.place and done.place.name) == (None, name)
    make(saves, "iter_0000050")
    (saves / "latest").write_text("iter_0000050")
    put_aside(saves, "iter_0000050")
    (pointer,) = pointers.find_pointers(saves, places(saves), Path())
    assert pointers.correct(pointer, memory, places(saves)).to is None


# What a pointer file may say, beside a set-aside iter_0000040 and a present iter_0000030.
ALONE = {
    "another that is there": b"iter_0000030",
    "one that was never there": b"iter_0000099",
    "Megatron's release": b"release",
    "a sentence": b"the newest is iter_0000040",
    "two lines": b"iter_0000040\niter_0000030\n",
    "of another directory": b"elsewhere/iter_0000040",
    "of above": b"../iter_0000040",
    "out of it": b"iter_0000040/../../passwd",
    "nothing": b"",
    "blanks": b" \n",
    "bytes": b"iter_0000040\0",
    "no text": bytes(range(128, 256)),
    "a lot": b"iter_0000040" + b" " * 5000,
    "a large number": b"9" * 4000,
    "a negative": b"-40",
    "other digits": "٤٠".encode(),
}


@pytest.mark.parametrize("name", ["latest", "last_checkpoint", "latest_checkpointed_iteration.txt"])
@pytest.mark.parametrize("what", ALONE)
def test_what_is_not_understood_is_let_alone(saves: Path, name: str, what: str) -> None:
    """A pointer stays if it is not understood, or names a present or an unknown checkpoint."""
    make(saves, "iter_0000030", "iter_0000040")
    (saves / name).write_bytes(ALONE[what])
    put_aside(saves, "iter_0000040")
    assert follow(saves, "iter_0000030") == []
    assert (saves / name).read_bytes() == ALONE[what]


@pytest.mark.parametrize("name", ["best", "notes.txt", "last_epoch", "latest.json", "checkpoint"])
def test_a_file_of_another_name_is_no_pointer(saves: Path, name: str) -> None:
    """A file of another name stays whatever it says: "best" is not newest, an epoch is no step."""
    make(saves, "iter_0000030", "iter_0000040")
    put_aside(saves, "iter_0000040")
    for content in ("iter_0000040", "40"):
        if (name, content) != ("last_epoch", "iter_0000040"):
            (saves / name).write_text(content)
            assert follow(saves, "iter_0000030") == []


def test_links_elsewhere_are_let_alone(saves: Path, tmp_path: Path) -> None:
    """A link stays if it leads outside, to a present or an unknown checkpoint, or to itself."""
    make(saves, "checkpoint-30", "checkpoint-40")
    targets = {
        "there": "checkpoint-30",
        "never": "checkpoint-99",
        "above": "../checkpoint-40",
        "far": "/nowhere/checkpoint-40",
        "loop": "loop",
        "latest": "/job/checkpoint-40/model.pt",
    }
    for name, target in targets.items():
        (saves / name).symlink_to(target)
    put_aside(saves, "checkpoint-40")
    assert follow(saves, "checkpoint-30") == []
    assert {name: os.readlink(saves / name) for name in targets} == targets


def test_a_pipe_or_a_link_in_the_name_of_a_file(saves: Path, tmp_path: Path) -> None:
    """A pipe does not hang the daemon, and no file is read or written through a link."""
    make(saves, "checkpoint-30", "checkpoint-40")
    outside = tmp_path / "outside"
    outside.write_text("checkpoint-40")
    os.mkfifo(saves / "latest")
    (saves / "last_checkpoint").symlink_to(outside)
    put_aside(saves, "checkpoint-40")
    assert follow(saves, "checkpoint-30") == []
    assert outside.read_text() == "checkpoint-40"


def test_without_anything_set_aside_no_pointer_is_looked_at(
    saves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nothing set aside, a launch lists no directory; a dangling pointer is the trainer's."""
    make(saves, "checkpoint-30")
    (saves / "latest").write_text("checkpoint-40")
    monkeypatch.setattr(os, "scandir", lambda path: pytest.fail(f"{path} is listed"))
    assert follow(saves, "checkpoint-30") == []
    assert follow(saves.parent / "absent", None) == []


def test_one_that_was_saved_again_is_named(saves: Path) -> None:
    """A pointer stays if the run saved its checkpoint again after the first was set aside."""
    make(saves, "global_step30", "global_step40")
    put_aside(saves, "global_step40")
    make(saves, "global_step40")
    (saves / "latest").write_text("global_step40")
    assert follow(saves, "global_step30") == []
    put_aside(saves, "global_step40")
    assert [one.to for one in follow(saves, "global_step30")] == ["global_step30"]


COUNTERS = (
    *("last", "last_step", "last_step.txt", "last_iter", "last_epoch", "LAST_ITERATION"),
    *("latest_iteration.txt", "latest_step.txt", "latest_run.txt", "latest_universal"),
)


@pytest.mark.parametrize("name", COUNTERS)
@pytest.mark.parametrize("chosen", ["step_30", None])
def test_a_counter_of_the_trainers_own(saves: Path, name: str, chosen: str | None) -> None:
    """A number in a file is progress, unless that file is known to name a checkpoint by it."""
    make(saves, "step_30", "step_40")
    (saves / name).write_text("40\n")
    put_aside(saves, "step_40")
    assert follow(saves, chosen) == []
    assert (saves / name).read_text() == "40\n"


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [("iter_0000030", "30"), ("global_step20", "20"), ("checkpoint-10", None), (None, None)],
)
def test_a_number_that_may_mean_two(saves: Path, chosen: str | None, expected: str | None) -> None:
    """A number of two set-aside checkpoints means that of the chosen checkpoint's series."""
    make(saves, "iter_0000030", "iter_0000040", "global_step20", "global_step40", "checkpoint-10")
    (saves / "latest_checkpointed_iteration.txt").write_text("40")
    put_aside(saves, "iter_0000040", "global_step40")
    (done,) = follow(saves, chosen)
    assert done.to == expected
    assert (saves / "latest_checkpointed_iteration.txt").exists() == (expected is not None)


def test_a_number_of_which_one_is_there(saves: Path) -> None:
    """A number may mean a set-aside checkpoint that was saved again; the chosen series decides."""
    make(saves, "iter_0000030", "iter_0000040", "global_step40", "checkpoint-10")
    (saves / "latest_checkpointed_iteration.txt").write_text("40")
    put_aside(saves, "iter_0000040", "global_step40")
    make(saves, "global_step40")
    assert follow(saves, "checkpoint-10") == []
    assert follow(saves, "global_step40") == []
    assert [one.to for one in follow(saves, "iter_0000030")] == ["30"]


def test_a_set_aside_one_of_an_earlier_version(saves: Path) -> None:
    """An earlier version set checkpoints aside inside their directory; pointers follow, too."""
    make(saves, "global_step30", "global_step40")
    (saves / "latest").write_text("global_step40")
    set_aside.put_aside(saves / "global_step40", set_aside.INVALID, "torn")
    assert [one.to for one in follow(saves, "global_step30")] == ["global_step30"]


def test_a_directory_reached_by_a_link(saves: Path, tmp_path: Path) -> None:
    """A pointer may give the directory's path by a link or without it, and keeps that form."""
    make(saves, "iter_30.pth", "iter_40.pth")
    (tmp_path / "link").symlink_to(saves)
    linked = tmp_path / "link"
    (saves / "last_checkpoint").write_text(f"{saves}/iter_40.pth")
    (saves / "latest").write_text("link/iter_40.pth")
    put_aside(linked, "iter_40.pth")
    follow(linked, "iter_30.pth")
    assert (saves / "last_checkpoint").read_text() == f"{saves}/iter_30.pth"
    assert (saves / "latest").read_text() == "link/iter_30.pth"


@pytest.mark.parametrize("is_link", [False, True])
def test_a_disk_that_refuses(saves: Path, monkeypatch: pytest.MonkeyPatch, is_link: bool) -> None:
    """When the disk refuses, the pointer is as it was and no staging file is left."""
    make(saves, "global_step30", "global_step40")
    if is_link:
        (saves / "latest").symlink_to("global_step40")
    else:
        (saves / "latest").write_text("global_step40")
    put_aside(saves, "global_step40")
    with monkeypatch.context() as patch:

        def refuse(self: Path, target: Path) -> None:
            raise OSError(5, "Input/output error")

        patch.setattr(Path, "rename", refuse)
        with pytest.raises(OSError, match="Input/output"):
            follow(saves, "global_step30")
    assert sorted(os.listdir(saves)) == ["global_step30", "latest"]
    assert [one.to for one in follow(saves, "global_step30")] == ["global_step30"]


def test_a_stage_of_a_killed_daemon_is_cleaned_away(
    saves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`clean_staging` removes a killed daemon's staging file: its name shows the writer is dead."""
    make(saves, "global_step30", "global_step40")
    (saves / "latest").write_text("global_step40")
    put_aside(saves, "global_step40")

    class Killed(BaseException):
        pass

    def die(self: Path, target: Path) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", die)
        with pytest.raises(Killed):
            follow(saves, "global_step30")
    (stage,) = (path for path in saves.iterdir() if path.name.startswith("."))
    stage.rename(stage.with_name(".staging-ffffffff-1-1-0-latest"))
    assert len(clean_staging(saves, quiet=True)) == 1
    assert (saves / "latest").read_text() == "global_step40"


def test_pruning_what_a_pointer_was_set_aside_with(saves: Path) -> None:
    """Pruning removes a set-aside checkpoint, and a pointer beside it does no harm."""
    make(saves, "global_step40")
    (saves / "latest").write_text("global_step40")
    put_aside(saves, "global_step40")
    follow(saves, None)
    run_root = saves.parent / "set-aside"
    (entry,) = survey(SurveyRequest(saves, set_aside=run_root)).entries
    prune.remove(entry, run_root)
    assert survey(SurveyRequest(saves, set_aside=run_root)).entries == ()
    assert os.listdir(saves) == []
