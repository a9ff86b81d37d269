"""Looks for room on a disk: what they ask for, that they give it back, and that none blocks."""

import ctypes
import errno
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor.core.events import Probed
from supervisor.daemon.look import free_space
from supervisor.daemon.look.free_space import PREFIX, look_for_room
from supervisor.daemon.look.prober import DEADLINE_S, Prober
from supervisor.daemon.look.probes import probe

NAME = "0123abcd"


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat the tests' file system as a disk."""
    monkeypatch.setattr(free_space, "filesystem_type", lambda _: "ext4")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A fallocate(2) that always succeeds; the lengths that it was asked for."""
    pieces: list[int] = []

    def give(_fd: int, _mode: int, _offset: int, length: int) -> int:
        pieces.append(length)
        return 0

    monkeypatch.setattr(free_space, "_fallocate", lambda: give)
    return pieces


def refusing(number: int) -> Callable[[], Callable[[int, int, int, int], int]]:
    """A fallocate(2) that fails with this errno."""

    def refuse(_fd: int, _mode: int, _offset: int, _length: int) -> int:
        ctypes.set_errno(number)
        return -1

    return lambda: refuse


def limited(monkeypatch: pytest.MonkeyPatch, **fields: int) -> None:
    """Let statvfs return these fields for every place."""
    facts = {"f_bavail": 1 << 30, "f_frsize": 1, "f_blocks": 1 << 30, "f_files": 9, "f_favail": 9}
    told = type("Facts", (), {**facts, **fields})
    monkeypatch.setattr(os, "statvfs", lambda _: told)


@pytest.mark.usefixtures("disk")
def test_room_that_is_given_is_given_back(tmp_path: Path) -> None:
    """The real call leaves neither a name nor bytes."""
    before = os.statvfs(tmp_path).f_bfree
    found = look_for_room(tmp_path, needed_bytes=256 << 20, files=5, name=NAME)
    assert found.is_there, found.what
    assert list(tmp_path.iterdir()) == []
    taken = (before - os.statvfs(tmp_path).f_bfree) * os.statvfs(tmp_path).f_frsize
    assert taken < 128 << 20  # other processes write here, too


@pytest.mark.usefixtures("disk")
def test_never_more_than_nine_tenths_of_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[int]
) -> None:
    """A tenth is left to other writers; the room is asked for in pieces."""
    limited(monkeypatch, f_bavail=10 << 30, f_favail=1000, f_files=2000)
    assert look_for_room(tmp_path, needed_bytes=int(9.9 * (1 << 30)), files=1, name=NAME).is_there
    assert sum(asked) == 9 << 30
    assert max(asked) <= 1 << 30


@pytest.mark.usefixtures("disk")
@pytest.mark.parametrize("number", [errno.EDQUOT, errno.ENOSPC])
def test_a_quota_that_shows_free_bytes_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """statvfs shows room, and the file system gives none."""
    monkeypatch.setattr(free_space, "_fallocate", refusing(number))
    found = look_for_room(tmp_path, needed_bytes=1 << 20, files=1, name=NAME)
    assert not found.is_there
    assert os.strerror(number) in found.what
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("disk")
@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOSYS, errno.EFBIG])
def test_where_nothing_can_be_reserved_64_mib_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The bytes are synced, because a file server refuses only then."""
    monkeypatch.setattr(free_space, "_fallocate", refusing(number))
    written: list[int] = []
    synced: list[int] = []
    monkeypatch.setattr(os, "write", lambda _fd, data: written.append(len(data)) or len(data))
    monkeypatch.setattr(os, "fsync", lambda _fd: synced.append(sum(written)))
    assert look_for_room(tmp_path, needed_bytes=900 << 20, files=1, name=NAME).is_there
    assert synced == [64 << 20]


@pytest.mark.usefixtures("disk", "asked")
def test_a_file_system_without_nameless_files_is_asked_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On NFS, without nameless files, the probe's file has a hidden name for a moment."""
    opened, names = os.open, []

    def without(path: str | Path, flags: int, mode: int = 0o777, **more: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "not supported")
        if flags & os.O_CREAT and Path(path).parent == tmp_path:
            names.append(Path(path).name)
        return opened(path, flags, mode, **more)

    monkeypatch.setattr(os, "open", without)
    assert look_for_room(tmp_path, needed_bytes=1 << 20, files=1, name=NAME).is_there
    assert len(names) == 1
    assert names[0].startswith(f"{PREFIX}{NAME}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("disk", "asked")
def test_inodes_are_asked_for_by_making_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One directory and as many files as a checkpoint has; a quota of inodes refuses them."""
    opened, made = os.open, []

    def counting(path: str | Path, flags: int, mode: int = 0o777, **more: int) -> int:
        if flags & os.O_CREAT and Path(path).parent.name.startswith(PREFIX):
            made.append(path)
            if len(made) > 7:
                raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        return opened(path, flags, mode, **more)

    monkeypatch.setattr(os, "open", counting)
    assert look_for_room(tmp_path, needed_bytes=1, files=7, name=NAME).is_there
    assert len(made) == 7
    made.clear()
    assert not look_for_room(tmp_path, needed_bytes=1, files=9, name=NAME).is_there
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("left", "is_there"), [(4, True), (3, False)])
def test_in_memory_statvfs_alone_decides(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: list[int],
    left: int,
    is_there: bool,
) -> None:
    """On tmpfs bytes and inodes are counted, and no memory of the machine is taken."""
    monkeypatch.setattr(free_space, "filesystem_type", lambda _: "tmpfs")
    limited(monkeypatch, f_favail=left)
    found = look_for_room(tmp_path, needed_bytes=1 << 20, files=3, name=NAME)
    assert found.is_there is is_there
    assert asked == []
    assert is_there or found.what == f"3 inodes free in {tmp_path}, 4 needed"


@pytest.mark.usefixtures("disk", "asked")
def test_a_file_system_that_counts_no_inodes_has_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Btrfs reports 0 of 0 inodes, which does not mean that none is free."""
    limited(monkeypatch, f_files=0, f_favail=0)
    assert look_for_room(tmp_path, needed_bytes=1, files=3, name=NAME).is_there


@pytest.mark.usefixtures("disk", "asked")
def test_what_a_killed_look_left_is_taken_away_by_the_next(tmp_path: Path) -> None:
    """Only this run's leftovers are removed, not those of other runs."""
    (tmp_path / f"{PREFIX}{NAME}").mkdir()
    (tmp_path / f"{PREFIX}{NAME}" / "0").touch()
    (tmp_path / f"{PREFIX}other").mkdir()
    assert look_for_room(tmp_path, needed_bytes=1, files=1, name=NAME).is_there
    assert [path.name for path in tmp_path.iterdir()] == [f"{PREFIX}other"]


@pytest.mark.usefixtures("disk", "asked")
def test_the_directory_of_the_failed_write_is_looked_at(tmp_path: Path) -> None:
    """A directory that was about to be made counts by its parent; else the checkpoints' counts."""
    cache, saves = tmp_path / "cache", tmp_path / "saves"
    cache.mkdir()
    saves.mkdir()

    def looked_at(place: Path | None) -> str:
        asked = {"directory": saves, "checkpoint_bytes": 1, "place": place, "name": NAME}
        return probe("disk_full", **asked).what  # type: ignore[arg-type]

    assert f"free in {cache}," in looked_at(cache / "new")
    assert f"free in {saves}," in looked_at(None)
    assert f"free in {saves}," in looked_at(tmp_path / "gone" / "a" / "b" / "c")


@pytest.fixture
def prober() -> Iterator[Prober]:
    """A prober whose child is given up at the end."""
    prober = Prober()
    yield prober
    prober.cancel()


def answer(prober: Prober) -> Probed:
    """Wait for the child's answer."""
    until = time.monotonic() + 30.0
    while time.monotonic() < until:
        found = prober.poll(0.0)
        if found is not None:
            return found
        time.sleep(0.01)
    raise AssertionError("no answer")


def question(directory: Path, **more: object) -> dict[str, object]:
    """A question for the child."""
    return {"cause": "disk_full", "directory": str(directory), "checkpoint_bytes": 1000,
            "files": 2, "place": None, "name": NAME, **more}  # fmt: skip


def test_a_child_looks(tmp_path: Path, prober: Prober) -> None:
    """The child's answer is the probe's; a second question while it looks is ignored."""
    assert prober.begin(question(tmp_path), 0.0) is None
    assert prober.begin(question(tmp_path), 0.0) is None
    assert answer(prober).clear
    assert prober.begin(question(tmp_path, checkpoint_bytes=1 << 60), 0.0) is None
    assert not answer(prober).clear
    assert prober.begin(question(tmp_path, cause="filesystem"), 0.0) is None
    assert answer(prober).what == f"{tmp_path} can be read again"


def test_a_child_that_fails_says_why(tmp_path: Path, prober: Prober) -> None:
    """A child that fails is reported as no room, with its error."""
    assert prober.begin({**question(tmp_path), "files": "many"}, 0.0) is None
    found = answer(prober)
    assert not found.clear
    assert "ValueError" in found.what


def test_a_disk_that_does_not_answer_stalls_nobody(
    tmp_path: Path, prober: Prober, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child is given up in time; while it cannot be killed, no second one is started."""
    real = subprocess.Popen
    silent = ["sh", "-c", "exec sleep 60"]
    monkeypatch.setattr(subprocess, "Popen", lambda _, **how: real(silent, **how))
    assert prober.begin(question(tmp_path), 0.0) is None
    assert prober.poll(DEADLINE_S - 1.0) is None
    found = prober.poll(DEADLINE_S)
    assert found is not None
    assert not found.clear
    assert "no answer" in found.what
    (lost,) = prober._child._lost
    assert lost.wait(10.0) == -9
    monkeypatch.setattr(lost, "poll", lambda: None)
    refused = prober.begin(question(tmp_path), 0.0)
    assert refused is not None
    assert not refused.clear
