"""The run's lock is taken anew after its file was removed."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.daemon.act.record_guard import is_removed
from supervisor.launcher.messages import RelockedReport, RelockOrder
from supervisor.launcher.relock import obey, relock
from supervisor.rundir.ledger import LedgerWriter, read_ledger
from supervisor.rundir.lock import RunLock, holder, is_held
from supervisor.rundir.paths import RunPaths


@pytest.fixture
def lock(tmp_path: Path) -> RunLock:
    """A run's lock, held by this process."""
    paths = RunPaths(tmp_path)
    paths.state_dir.mkdir()
    return RunLock.acquire(paths)


def is_taken(path: Path) -> bool:
    """Whether another process cannot take the lock."""
    code = f"import fcntl; fcntl.flock(open({str(path)!r}), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    return b"BlockingIOError" in done.stderr


def test_it_is_the_same_lock_again(lock: RunLock, tmp_path: Path) -> None:
    """The same descriptor and content, and other processes are refused."""
    paths = RunPaths(tmp_path)
    words = paths.lock.read_text()
    paths.lock.unlink()
    assert is_removed(lock.fd, paths.lock)
    assert not is_held(paths)
    relock(str(paths.lock), lock.fd)
    assert not is_removed(lock.fd, paths.lock)
    assert paths.lock.read_text() == words
    assert is_held(paths)
    assert is_taken(paths.lock)
    owner = holder(paths)
    assert owner is not None
    assert owner.identity.pid == os.getpid()
    assert not os.get_inheritable(lock.fd)
    relock(str(paths.lock), lock.fd)  # nothing to do
    os.close(lock.fd)
    assert not is_taken(paths.lock)


def test_anothers_lock_is_not_taken(lock: RunLock, tmp_path: Path) -> None:
    """A process that took the path meanwhile keeps the lock, and the answer says so."""
    path = RunPaths(tmp_path).lock
    path.unlink()
    with path.open("w") as other:
        other.write("{}")
        other.flush()
        fcntl.flock(other, fcntl.LOCK_EX)
        order = RelockOrder(path=str(path), fd=lock.fd)
        assert obey(order) == RelockedReport(error="another process has it")
        assert path.read_text() == "{}"
    assert is_removed(lock.fd, path)
    path.unlink()
    path.parent.rmdir()
    assert obey(order) == RelockedReport(error=os.strerror(errno.ENOENT))


def test_what_is_not_sure_is_not_removed(lock: RunLock, tmp_path: Path) -> None:
    """Another inode with the same content (a FUSE that renumbers); a disk that does not answer."""
    path = RunPaths(tmp_path).lock
    kept = tmp_path / "kept"
    os.link(path, kept)
    copy = tmp_path / "copy"
    copy.write_bytes(path.read_bytes())
    copy.replace(path)
    assert not is_removed(lock.fd, path)
    path.write_text("another")
    assert is_removed(lock.fd, path)
    path.unlink()
    assert is_removed(lock.fd, path)  # moved away: a process that opens its path finds none
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert not is_removed(lock.fd, loop)


@pytest.mark.parametrize("size", [1, 200])
def test_a_ledger_that_was_removed_is_whole_again(tmp_path: Path, size: int) -> None:
    """The descriptor has all lines, and later lines are written where readers look."""
    path = tmp_path / "ledger.jsonl"
    ledger = LedgerWriter(path, tmp_path / "reserve")
    ledger.append([{"type": "x", "n": n, "text": "y" * 9000} for n in range(size)])
    assert not ledger.is_removed()
    assert not ledger.restore()
    path.unlink()
    assert ledger.is_removed()
    assert ledger.restore()
    ledger.append([{"type": "x", "n": size}])
    assert [entry["n"] for entry in read_ledger(path)] == list(range(size + 1))
    assert not ledger.is_removed()
    assert [p.name for p in tmp_path.iterdir()] == ["ledger.jsonl"]
    ledger.close()
