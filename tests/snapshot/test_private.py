"""Directories that only their user may enter, the ones above them too."""

from pathlib import Path

import pytest

from supervisor.daemon.runtime import RuntimeDirectory
from supervisor.snapshot.private import make_below, make_private, shared_name


def modes(*folders: Path) -> list[int]:
    """The permissions of each."""
    return [folder.stat().st_mode & 0o777 for folder in folders]


def test_those_above_it_are_as_private(tmp_path: Path) -> None:
    """`mkdir(parents=True, mode=0o700)` makes the parents 0755."""
    folder = tmp_path / "a" / "b" / "c"
    make_private(folder)
    make_private(folder)
    assert modes(folder.parent.parent, folder.parent, folder) == [0o700] * 3


def test_what_is_there_keeps_its_mode(tmp_path: Path) -> None:
    """Somebody else's directory, or the user's home, is not ours to close."""
    (tmp_path / "home").mkdir(mode=0o755)
    (tmp_path / "home").chmod(0o755)
    make_private(tmp_path / "home" / "own")
    assert modes(tmp_path / "home", tmp_path / "home" / "own") == [0o755, 0o700]


def test_below_a_base_that_is_there(tmp_path: Path) -> None:
    """All of it is made, and the base itself may be asked for."""
    make_below(tmp_path, tmp_path)
    make_below(tmp_path, tmp_path / "a" / "b")
    assert modes(tmp_path / "a", tmp_path / "a" / "b") == [0o700] * 2


def test_a_base_that_vanished_does_not_come_back(tmp_path: Path) -> None:
    """A writer that is late must not make again what was removed under it."""
    base = tmp_path / "gone"
    with pytest.raises(FileNotFoundError):
        make_below(base, base / "a")
    with pytest.raises(ValueError, match="other"):
        make_below(base, tmp_path / "other")
    assert not base.exists()


def test_a_runtime_directory_that_vanished_comes_back_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its parent, as a cleaner of /dev/shm takes them: the next run would refuse 0755."""
    monkeypatch.setattr("supervisor.daemon.runtime.SHARED_MEMORY", tmp_path / "shm")
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
    """Whoever can write there could put anything below: a checkpoint, say."""
    place = tmp_path / shared_name()
    if mode == "link":
        (tmp_path / "other").mkdir(mode=0o700)
        place.symlink_to(tmp_path / "other")
    else:
        place.mkdir()
        place.chmod(int(mode))
    with pytest.raises(PermissionError, match="not this user's alone"):
        make_private(place / "run" / "snapshots")
