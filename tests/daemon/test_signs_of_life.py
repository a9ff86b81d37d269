"""Reading signs of life: which files count, when they are read, and what they teach."""

import mmap
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.core.sign_of_life import SignPhase, SignsSeen, StopAnswer
from supervisor.daemon.look.signs_of_life import PAUSE_S, SignFiles
from supervisor.system.identity import start_ticks
from supervisor.worker.sign_layout import (
    COUNT,
    LAST_NS,
    LONGEST_GAP_NS,
    NO_PHASE,
    PHASE,
    PHASE_SINCE_NS,
    SAVING,
    SIGN,
    SIGN_BYTES,
    SIGN_MAGIC,
    SIGN_PREFIX,
    SIGN_VERSION,
    STOP,
    STOP_ENDS,
    STOP_WAITS,
)

S = 1_000_000_000
ATTEMPT = 3


def page(pid: int, *words: int, ticks: int | None = None, attempt: int = ATTEMPT) -> bytes:
    """A file of this process; `words`: count, last, longest gap, phase, since, stop."""
    ticks = start_ticks(pid) or 0 if ticks is None else ticks
    rest = (*words, *(0,) * (6 - len(words)))
    head = SIGN.pack(SIGN_MAGIC, SIGN_VERSION, pid, 0, ticks, attempt, *rest)
    return head.ljust(SIGN_BYTES, b"\0")


class Signs:
    """The signs of one process, and their reader with a clock that the test moves."""

    def __init__(self, folder: Path, pid: int) -> None:
        self.path = folder / f"{SIGN_PREFIX}{pid}"
        self.path.write_bytes(page(pid))
        with self.path.open("r+b") as file:
            self.words = memoryview(mmap.mmap(file.fileno(), SIGN_BYTES)).cast("Q")
        self.files = SignFiles(folder, ATTEMPT)
        self.now = time.monotonic()

    def sign(self, count: int = 1) -> None:
        """Give a sign."""
        self.words[COUNT] += count
        self.words[LAST_NS] = round(self.now * S)

    def look(self, after_s: float = PAUSE_S) -> SignsSeen | None:
        """Look when so much time has passed."""
        self.now += after_s
        return self.files.look(self.now)


@pytest.fixture
def process() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that lives."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as running:
        yield running
        running.kill()


@pytest.fixture
def signs(tmp_path: Path) -> Signs:
    """The signs of this very process."""
    return Signs(tmp_path, os.getpid())


def test_two_signs_count(signs: Signs) -> None:
    """One sign is no rhythm; of two the newest tells when the loop lived."""
    signs.sign()
    seen = signs.look()
    assert seen is not None
    assert (seen.processes, seen.last_at) == (1, None)
    signs.sign()
    at = signs.now
    seen = signs.look()
    assert seen is not None
    assert seen.last_at == pytest.approx(at, abs=1e-3)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"TSSG",
        page(os.getpid(), 5, S)[: SIGN.size - 1],
        b"XXXX" + page(os.getpid(), 5, S)[4:],
        page(os.getpid(), 5, S, attempt=ATTEMPT + 1),
        page(1, 5, S),
        page(os.getpid(), 5, S, 2 * S),
        b"\xff" * SIGN_BYTES,
        bytes(SIGN_BYTES),
    ],
    ids=["empty", "head", "short", "magic", "attempt", "pid", "gap", "ones", "zeros"],
)
def test_torn_and_foreign_files_are_passed_over(tmp_path: Path, content: bytes) -> None:
    """They are no sign, and no error; a file of another process's name is foreign, too."""
    (tmp_path / f"{SIGN_PREFIX}{os.getpid()}").write_bytes(content)
    (tmp_path / f"{SIGN_PREFIX}12x").write_bytes(page(os.getpid(), 5, S))
    (tmp_path / f"{SIGN_PREFIX}7").mkdir()
    (tmp_path / f"{SIGN_PREFIX}8").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / f"{SIGN_PREFIX}9")
    assert SignFiles(tmp_path, ATTEMPT).look(time.monotonic()) is None


def test_an_ended_process_counts_no_more(
    tmp_path: Path, process: "subprocess.Popen[bytes]"
) -> None:
    """What it answered to a stop, and its longest gap, are still told."""
    signs = Signs(tmp_path, process.pid)
    signs.sign(9)
    signs.words[LONGEST_GAP_NS] = 2 * S
    seen = signs.look()
    assert seen is not None
    assert seen.processes == 1
    process.kill()
    process.wait()
    signs.words[STOP] = STOP_ENDS
    seen = signs.look()
    assert seen == SignsSeen(ATTEMPT, longest_gap_s=2.0, stop=StopAnswer.ENDS)
    assert signs.files.waiting == ()


def test_a_pid_that_another_process_has_now(tmp_path: Path) -> None:
    """The start time tells two processes with one pid apart."""
    path = tmp_path / f"{SIGN_PREFIX}{os.getpid()}"
    path.write_bytes(page(os.getpid(), 9, S, ticks=1))
    seen = SignFiles(tmp_path, ATTEMPT).look(time.monotonic())
    assert seen is not None
    assert seen.processes == 0


def test_the_newest_sign_of_all_counts(tmp_path: Path, process: "subprocess.Popen[bytes]") -> None:
    """A process that trained once and lives on idle makes no silence."""
    idle = Signs(tmp_path, process.pid)
    idle.sign(9)
    idle.now += 5000.0
    busy = Signs(tmp_path, os.getpid())
    busy.now = idle.now
    busy.sign(9)
    seen = busy.look()
    assert seen is not None
    assert (seen.processes, seen.last_at) == (2, pytest.approx(idle.now, abs=1e-3))


def test_they_are_read_seldom_while_signs_come(signs: Signs) -> None:
    """A silence, and a stop, are followed at each look."""
    signs.sign(2)
    assert signs.look() is not None
    assert signs.look(1.0) is None
    signs.files.hurry()
    assert signs.look(0.1) is not None
    assert signs.look(0.1) is not None
    quiet = SignFiles(signs.path.parent, ATTEMPT)
    assert quiet.look(signs.now + 60.0) is not None
    assert quiet.look(signs.now + 60.5) is not None


def test_a_short_limit_is_read_often(signs: Signs) -> None:
    """What was read a while ago must not look like a silence."""
    signs.sign(2)
    files = SignFiles(signs.path.parent, ATTEMPT, limit_s=2.0)
    assert files.look(signs.now) is not None
    assert files.look(signs.now + 0.4) is None
    assert files.look(signs.now + 0.6) is not None


def test_phases(signs: Signs) -> None:
    """The begin and the end of a phase are signs; how long it took is learned once it is over."""
    signs.sign(2)
    signs.words[PHASE_SINCE_NS] = round(signs.now * S)
    signs.words[PHASE] = SAVING
    began = signs.now
    for _ in range(8):
        seen = signs.look()
    assert seen is not None
    assert (seen.phase, seen.longest_phase_s) == (SignPhase.SAVE, 0.0)
    assert seen.last_at == pytest.approx(began, abs=1e-3)
    signs.words[PHASE_SINCE_NS] = round(signs.now * S)
    signs.words[PHASE] = NO_PHASE
    seen = signs.look()
    assert seen is not None
    assert (seen.phase, seen.longest_phase_s) == (SignPhase.NONE, pytest.approx(40.0, abs=1e-3))
    assert seen.last_at == pytest.approx(began + 40.0, abs=1e-3)


def test_who_waits_is_told_to_end(signs: Signs) -> None:
    """A second SIGTERM goes to the processes that wait for their own save, and to no other."""
    signs.sign(2)
    signs.look()
    assert signs.files.waiting == ()
    signs.words[STOP] = STOP_WAITS
    seen = signs.look()
    assert seen is not None
    assert seen.stop is StopAnswer.WAITS
    assert signs.files.waiting == (os.getpid(),)


@pytest.mark.parametrize(("world", "are_all"), [({}, True), ({"WORLD_SIZE": "2"}, False)])
def test_ranks_on_other_machines(tmp_path: Path, world: dict[str, str], are_all: bool) -> None:
    """They are not seen, and no stop waits for a save where some ranks end at once."""
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={**os.environ, **world}
    ) as process:
        signs = Signs(tmp_path, process.pid)
        assert not signs.files.are_all_here
        signs.sign(2)
        signs.look()
        assert signs.files.are_all_here is are_all
        process.kill()


def test_an_emptied_directory(signs: Signs) -> None:
    """RemoveIPC removes the name: the open file still tells the signs."""
    signs.sign(2)
    signs.look()
    signs.path.unlink()
    signs.sign()
    seen = signs.look()
    assert seen is not None
    assert seen.last_at == pytest.approx(signs.now - PAUSE_S, abs=1e-3)
    signs.files.close()


def test_what_a_look_costs(tmp_path: Path) -> None:
    """Eight ranks: a reading takes less than a hundredth of the pause between two."""
    with_signs = Signs(tmp_path, os.getpid())
    with_signs.sign(2)
    for pid in range(2, 9):
        (tmp_path / f"{SIGN_PREFIX}{pid}").write_bytes(page(pid, 5, S))
    with_signs.look()
    began = time.process_time()
    for _ in range(100):
        with_signs.look()
    assert (time.process_time() - began) / 100 < PAUSE_S / 1000
