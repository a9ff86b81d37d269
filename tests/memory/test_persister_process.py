"""A persister's start by its users: the daemon without a launcher, and a trainer."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.memory.persister_process import IGNORED, command
from supervisor.memory.persister_process import start as start_persister
from supervisor.memory.persister_status import read_board
from supervisor.memory.slots import SnapshotPaths, is_locked
from supervisor.system import procfs
from tests.memory.conftest import Fill, wait_until

Begin = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(root: Path) -> Iterator[Begin]:
    """Return a function that starts a persister; it finishes before the test does."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*options: str) -> subprocess.Popen[bytes]:
        started.append(start_persister(root, *options))
        return started[-1]

    yield begin
    for one in started:
        one.communicate()


def pid_of(root: Path) -> int:
    """The pid of the persister that serves, once it does."""
    board = wait_until(lambda: is_locked(SnapshotPaths(root).persister_lock) and read_board(root))
    return int(board.pid)


def test_it_persists_and_ends_when_it_may_finish(
    fill: Fill,
    states: dict[str, Any],
    start: Begin,
    root: Path,
    tmp_path: Path,
) -> None:
    """A wanted snapshot is on the disk when the persister has ended."""
    process = start("--nice", "0")
    pid_of(root)
    assert process.poll() is None
    fill(10, states)
    process.communicate()
    assert process.returncode == 0
    assert (tmp_path / "out" / "checkpoint-10").is_dir()


def test_a_signal_to_the_whole_job_does_not_end_it(
    fill: Fill,
    states: dict[str, Any],
    start: Begin,
    root: Path,
    tmp_path: Path,
) -> None:
    """The persister has its own session, so no terminal signals, and ignores a job's signals."""
    process = start()
    pid = pid_of(root)
    found = procfs.read_process(pid)
    assert found is not None
    assert found.session == pid
    for number in IGNORED:
        os.kill(pid, number)
    fill(10, states)
    process.communicate()
    assert (tmp_path / "out" / "checkpoint-10").is_dir()


def test_options_reach_it(start: Begin, root: Path) -> None:
    """With `--until-pid` it ends with that process, although its standard input is open."""
    served = subprocess.Popen(["sleep", "60"])
    process = start("--until-pid", str(served.pid), "--nice", "7")
    assert os.getpriority(os.PRIO_PROCESS, pid_of(root)) >= 7
    served.kill()
    served.wait()
    process.wait()


def test_where_no_process_can_be_started(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EAGAIN reaches the caller, who reports it."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(OSError, match="temporarily"):
        start_persister(root)


def test_the_command_names_a_program_that_is_there() -> None:
    """The program is run by its path: no environment has to have this package."""
    words = command("/dev/shm/x", "--nice", "5")
    assert Path(words[2]).is_file()
    assert words[3:] == ["persist", "--directory", "/dev/shm/x", "--nice", "5"]
