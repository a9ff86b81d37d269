"""Directories that only their user may enter, and their parents."""

import errno
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.rundir.runtime_directory import RuntimeDirectory
from supervisor.system.private_directory import (
    is_believable,
    is_ours_alone,
    make_below,
    make_private,
    shared_name,
)


def modes(*folders: Path) -> list[int]:
    """The permissions of each folder."""
    return [folder.stat().st_mode & 0o777 for folder in folders]


def test_those_above_it_are_as_private(tmp_path: Path) -> None:
    """`mkdir(parents=True, mode=0o700)` would make the parents 0755."""
    folder = tmp_path / "a" / "b" / "c"
    make_private(folder)
    make_private(folder)
    assert modes(folder.parent.parent, folder.parent, folder) == [0o700] * 3


def test_what_is_there_keeps_its_mode(tmp_path: Path) -> None:
    """We do not close a directory that exists, such as the user's home."""
    (tmp_path / "home").mkdir(mode=0o755)
    (tmp_path / "home").chmod(0o755)
    make_private(tmp_path / "home" / "own")
    assert modes(tmp_path / "home", tmp_path / "home" / "own") == [0o755, 0o700]


def test_below_a_base_that_is_there(tmp_path: Path) -> None:
    """All folders below the base are made, and the base itself may be asked for."""
    make_below(tmp_path, tmp_path)
    make_below(tmp_path, tmp_path / "a" / "b")
    assert modes(tmp_path / "a", tmp_path / "a" / "b") == [0o700] * 2


def test_a_base_that_vanished_does_not_come_back(tmp_path: Path) -> None:
    """A late writer must not make again what was removed under it."""
    base = tmp_path / "gone"
    with pytest.raises(FileNotFoundError):
        make_below(base, base / "a")
    with pytest.raises(ValueError, match="other"):
        make_below(base, tmp_path / "other")
    assert not base.exists()


def test_a_runtime_directory_that_vanished_comes_back_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cleaner of /dev/shm may take its parent, too, and the next run would refuse 0755."""
    monkeypatch.setattr("supervisor.rundir.runtime_directory.SHARED_MEMORY", tmp_path / "shm")
    (tmp_path / "shm").mkdir()
    runtime = RuntimeDirectory("run", tmp_path / "fallback")
    shared = runtime.root.parent
    for make in (runtime.repair, runtime.begin_attempt):
        runtime.remove()
        shared.rmdir()
        make(1)
        assert modes(shared, runtime.root, runtime.heartbeat_dir(1), runtime.snapshot_dir) == (
            [0o700] * 4
        )
    assert RuntimeDirectory("run", tmp_path / "fallback").root == runtime.root


@pytest.mark.parametrize("mode", [0o777, 0o750, "link"])
def test_a_place_that_somebody_else_laid_is_refused(tmp_path: Path, mode: int | str) -> None:
    """A stranger who can write there could put a checkpoint below."""
    place = tmp_path / shared_name()
    if mode == "link":
        (tmp_path / "other").mkdir(mode=0o700)
        place.symlink_to(tmp_path / "other")
    else:
        place.mkdir()
        place.chmod(int(mode))
    with pytest.raises(PermissionError, match="not this user's alone"):
        make_private(place / "run" / "snapshots")


def linked(place: Path) -> None:
    """Make a link to a private directory."""
    place.with_name("other").mkdir(mode=0o700)
    place.symlink_to(place.with_name("other"))


def with_access_list(rights: int) -> Callable[[Path], None]:
    """Return a maker of a 0700 directory whose ACL gives another user these rights (acl(5))."""

    def make(place: Path) -> None:
        place.mkdir(mode=0o700)
        anybody, stranger = 0xFFFFFFFF, os.getuid() + 1
        owner, user, group, mask, other = 1, 2, 4, 16, 32
        entries = (
            (owner, 7, anybody), (user, rights, stranger), (group, 0, anybody),
            (mask, 7, anybody), (other, 0, anybody),
        )  # fmt: skip
        packed = b"".join(struct.pack("<HHI", *entry) for entry in entries)
        try:
            os.setxattr(place, "system.posix_acl_access", struct.pack("<I", 2) + packed)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            pytest.skip("a file system without ACLs")

    return make


def with_mode(mode: int) -> Callable[[Path], None]:
    """Return a maker of a directory of this mode."""

    def make(place: Path) -> None:
        place.mkdir()
        place.chmod(mode)

    return make


@pytest.mark.parametrize(
    ("make", "is_alone", "is_believed"),
    [
        pytest.param(with_mode(0o700), True, True, id="private"),
        pytest.param(with_mode(0o500), True, True, id="read-only"),
        pytest.param(with_mode(0o711), False, True, id="may be passed through"),
        pytest.param(with_mode(0o755), False, True, id="may be read"),
        pytest.param(with_mode(0o770), False, False, id="of a group"),
        pytest.param(with_mode(0o702), False, False, id="written by everybody"),
        # In a sticky directory anybody may create a name that is not there yet.
        pytest.param(with_mode(0o1777), False, False, id="sticky"),
        pytest.param(with_access_list(7), False, False, id="ACL"),
        pytest.param(linked, False, False, id="link"),
        pytest.param(Path.touch, False, False, id="file"),
    ],
)
def test_whose_a_directory_is(
    tmp_path: Path, make: Callable[[Path], None], is_alone: bool, is_believed: bool
) -> None:
    """For secrets nobody else may read there; for belief nobody else may write there."""
    place = tmp_path / "place"
    make(place)
    assert is_ours_alone(place) is is_alone
    assert is_believable(tmp_path, place) is is_believed


def test_another_users_directory_is_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner of such a directory can read and write there, however private it is."""
    stranger = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: stranger)
    assert not is_ours_alone(tmp_path)
    assert not is_believable(tmp_path)


def test_what_is_not_there_is_not_believed(tmp_path: Path) -> None:
    """A caller that wants to create something there learns why it cannot be judged."""
    assert not is_believable(tmp_path, tmp_path / "gone")
    with pytest.raises(FileNotFoundError):
        is_ours_alone(tmp_path / "gone")


def test_each_of_several_has_to_be_closed(tmp_path: Path) -> None:
    """With an open parent, anybody can put another directory in a closed one's place."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "closed").mkdir(mode=0o700)
    (tmp_path / "open").chmod(0o777)
    assert is_believable(tmp_path / "open" / "closed")
    assert not is_believable(tmp_path / "open", tmp_path / "open" / "closed")
