"""Committing is whole or not at all, whatever fails on the way."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor.checkpoint.commit import CheckpointWriter, clean_staging
from supervisor.checkpoint.validate import validate
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey
from tests.checkpoint.conftest import MakeOurs


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every name below a folder with its content."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def test_a_commit_makes_a_valid_checkpoint(tmp_path: Path, make_ours: MakeOurs) -> None:
    """The checkpoint is under its name, proven by hashes, and nothing else is left."""
    path = make_ours(tmp_path / "new" / "out", 500, kind="epoch", attempt=2, finite=True)
    verdict = validate(path)
    assert (verdict.valid, verdict.proof, verdict.reason) == (True, "hashes", None)
    assert (verdict.step, verdict.epoch, verdict.kind) == (500, 0, "epoch")
    assert (verdict.run_id, verdict.finite) == ("run", True)
    assert os.listdir(path.parent) == ["checkpoint-500"]


def write_badly(parent: Path, fill: Callable[[CheckpointWriter], object]) -> None:
    """Commit after a filling step that may go wrong."""
    with CheckpointWriter(parent, "checkpoint-1", step=1, epoch=0) as writer:
        fill(writer)
        writer.commit()


def test_the_same_name_again_puts_the_old_one_aside(tmp_path: Path, make_ours: MakeOurs) -> None:
    """After two saves over a checkpoint, the newest stands; two others are kept with a reason."""
    for attempt in (1, 2, 3):
        make_ours(tmp_path, 500, attempt=attempt)
    shelf = tmp_path / ".set-aside" / "superseded"
    assert {path.name for path in shelf.iterdir() if path.is_dir()} == {
        "checkpoint-500",
        "checkpoint-500.2",
    }
    assert "written again" in (shelf / "checkpoint-500.2.reason.txt").read_text()
    assert all(validate(path).valid for path in shelf.iterdir() if path.is_dir())
    assert validate(tmp_path / "checkpoint-500").valid


def test_an_exception_inside_leaves_nothing(tmp_path: Path) -> None:
    """The caller's exception goes through, and the staging directory is removed."""

    def fail(writer: CheckpointWriter) -> None:
        (writer.path / "model.pt").write_bytes(b"half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_badly(tmp_path, fail)
    assert snapshot(tmp_path) == {}


def test_leaving_without_commit_leaves_nothing(tmp_path: Path) -> None:
    """Leaving the context without a commit publishes nothing."""
    with CheckpointWriter(tmp_path, "checkpoint-1", step=1, epoch=0) as writer:
        writer.open("data/model.pt").close()
    assert snapshot(tmp_path) == {}
    with pytest.raises(ValueError, match="not open"):
        _ = writer.path


@pytest.mark.parametrize(
    "state", [None, b"{}", b'{"global_step": 2, "current_epoch": 0, "format": 1}']
)
def test_content_that_is_no_checkpoint_is_refused(tmp_path: Path, state: bytes | None) -> None:
    """A commit is refused without a training state, with one unmarked, or with another step's."""

    def fill(writer: CheckpointWriter) -> None:
        if state is not None:
            (writer.path / "training_state.json").write_bytes(state)

    with pytest.raises(ValueError, match=r"training_state\.json"):
        write_badly(tmp_path, fill)
    assert snapshot(tmp_path) == {}


def test_a_link_in_the_staging_directory_is_refused(tmp_path: Path) -> None:
    """A commit is refused with a link: a checkpoint holds its own bytes."""

    def fill(writer: CheckpointWriter) -> None:
        with writer.open("training_state.json") as file:
            file.write(b'{"global_step": 1, "current_epoch": 0, "format": 1}')
        (writer.path / "model.pt").symlink_to("/etc/passwd")

    with pytest.raises(ValueError, match="neither a file"):
        write_badly(tmp_path, fill)
    assert snapshot(tmp_path) == {}


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", ".hidden", "/a"])
def test_a_name_must_be_one_visible_name(tmp_path: Path, name: str) -> None:
    """A name that leads out of the parent, or is hidden, is refused."""
    with pytest.raises(ValueError, match="name"):
        CheckpointWriter(tmp_path, name, step=1, epoch=0)


def test_parents_that_are_links_or_no_directories(tmp_path: Path, make_ours: MakeOurs) -> None:
    """A linked parent is followed, a file as parent is an error, a link of the name is replaced."""
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    make_ours(tmp_path / "link", 5)
    assert os.listdir(real) == ["checkpoint-5"]
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        make_ours(tmp_path / "file", 5)
    (real / "checkpoint-6").symlink_to("checkpoint-5")
    make_ours(real, 6)
    assert not (real / "checkpoint-6").is_symlink()
    assert validate(real / "checkpoint-5").valid


class FailingCall:
    """Makes the n-th call of one function of `os` fail, and counts the calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, at: int, code: int) -> None:
        real = getattr(os, name)
        self.count = 0

        def call(*args: object, **options: object) -> object:
            self.count += 1
            if self.count == at:
                raise OSError(code, os.strerror(code))
            return real(*args, **options)

        monkeypatch.setattr(os, name, call)


@pytest.mark.parametrize("occupied", [False, True], ids=["new", "occupied"])
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("fsync", errno.EIO),
        ("rename", errno.EIO),
        ("mkdir", errno.ENOSPC),
        ("open", errno.ENOSPC),
        ("readv", errno.EIO),
    ],
)
def test_any_call_may_fail(
    tmp_path: Path,
    make_ours: MakeOurs,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    code: int,
    occupied: bool,
) -> None:
    """When any call fails, the parent is as before the save, and a retry succeeds."""
    codes: list[int | None] = []
    for at in range(1, 100):
        parent = tmp_path / str(at)
        make_ours(parent, 400)
        if occupied:
            make_ours(parent, 500, attempt=1)
        before = snapshot(parent)
        with monkeypatch.context() as patch:
            failing = FailingCall(patch, name, at, code)
            try:
                make_ours(parent, 500, attempt=2)
            except OSError as error:
                codes.append(error.errno)
                assert snapshot(parent) == before
                patch.undo()
                make_ours(parent, 500, attempt=2)
        # A save may succeed although a call failed, if that call makes a directory that exists.
        assert validate(parent / "checkpoint-500").valid
        if failing.count < at:
            break
    assert set(codes) == {code}
    assert failing.count < at


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.root
def test_a_full_disk(small_disk: Path, make_ours: MakeOurs) -> None:
    """A save that does not fit leaves nothing; the checkpoint before it stays the newest valid."""
    make_ours(small_disk, 400)
    before = snapshot(small_disk)
    with pytest.raises(OSError, match="No space"):
        write_badly(small_disk, lambda writer: (writer.path / "a").write_bytes(bytes(2 << 20)))
    assert snapshot(small_disk) == before
    newest = survey(SurveyRequest(small_disk, run_id="run")).newest_valid
    assert newest is not None
    assert newest.step == 400


@pytest.mark.root
def test_a_full_disk_does_not_stop_setting_aside(small_disk: Path, make_ours: MakeOurs) -> None:
    """With no byte free, setting the old checkpoint aside works; only its reason is lost."""
    from supervisor.checkpoint.set_aside import put_aside

    make_ours(small_disk, 400)
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(bytes(2 << 20))
    place = put_aside(small_disk / "checkpoint-400", "invalid", "why")
    assert validate(place).valid


def test_staging_of_a_living_writer_stays(tmp_path: Path, make_ours: MakeOurs) -> None:
    """Cleaning leaves a living writer's staging directory and removes a dead writer's."""
    with CheckpointWriter(tmp_path, "checkpoint-1", step=1, epoch=0) as writer:
        assert clean_staging(tmp_path, quiet=True) == ()
        assert writer.path.is_dir()
        place, pid, _, rest = writer.path.name.removeprefix(".staging-").split("-", 3)
        stale = tmp_path / f".staging-{place}-{pid}-1-{rest}"
        stale.mkdir()
        (stale / "model.pt").write_bytes(b"half")
        assert clean_staging(tmp_path) == (stale,)
        assert writer.path.is_dir()


def test_staging_of_an_unknown_writer(tmp_path: Path) -> None:
    """An unknown writer's staging directory goes when nothing writes, or after a day of silence."""
    stale = [tmp_path / ".staging-ffffffff-1-1-0-checkpoint-1", tmp_path / ".staging-what"]
    for path in stale:
        path.mkdir()
    assert clean_staging(tmp_path) == ()
    os.utime(stale[0], (0, 0))
    assert clean_staging(tmp_path) == (stale[0],)
    assert clean_staging(tmp_path, quiet=True) == (stale[1],)
    assert clean_staging(tmp_path / "absent") == ()
