"""The persister as a process: what it does by itself, what ends it, and what must not end it."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from supervisor.checkpoint.commit import clean_staging
from supervisor.checkpoint.validate import validate
from supervisor.memory import persist_request
from supervisor.memory.persister_status import PersisterRecord
from supervisor.memory.seal import SealWriter
from supervisor.memory.slots import Lock, SnapshotPaths, Whole, read_given_up, void, wake
from supervisor.memory.snapshot_proof import read_verdict
from tests.memory.conftest import PROGRAM, Fill, Start, State, wait_until
from tests.refusals import refusing
from tests.vanishing import vanish


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The checkpoint directory."""
    return tmp_path / "out"


def names(folder: Path) -> list[str]:
    """The names in a checkpoint directory."""
    return sorted(os.listdir(folder)) if folder.exists() else []


def big(size: int = 24 << 20) -> dict[str, State]:
    """A state that takes a while to write."""
    return {"model.pt": {"weight": torch.randn(size // 4)}}


STANDING = """
import os, sys, time
real, chunks = os.posix_fadvise, 0
def posix_fadvise(*words):
    global chunks
    chunks += 1
    until = time.monotonic() + (0.6 if chunks < 3 else 1000.0)
    while os.path.exists(sys.argv[1]) and time.monotonic() < until:
        time.sleep(0.005)
    real(*words)
os.posix_fadvise = posix_fadvise
sys.path.insert(0, sys.argv[2])
from supervisor.memory.__main__ import main
sys.exit(main(sys.argv[3:]))
"""


class Disk:
    """A disk on which a persister writes two chunks, and then stands until it may go on."""

    def __init__(self, held: Path) -> None:
        self._held = held
        self.argv = [sys.executable, "-P", "-c", STANDING, str(held), str(PROGRAM.parents[2])]
        self.stand()

    def stand(self) -> None:
        """Let nothing more through."""
        self._held.touch()

    def go_on(self) -> None:
        """Let everything through."""
        self._held.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """A disk that stands."""
    return Disk(tmp_path / "held")


def test_it_persists_what_is_wanted_and_vets_the_rest(
    fill: Fill, states: dict[str, State], persister: Start, out: Path
) -> None:
    """A wanted snapshot becomes a checkpoint; an unwanted one only gets a verdict."""
    process = persister()
    process.wait_for(lambda board: board.state == "idle")
    wanted = fill(10, states, index=0)
    result = process.wait_for_result()
    assert (result.ok, result.step, result.name, result.why) == (True, 10, "checkpoint-10", "save")
    assert (result.finite, result.bytes) == (True, wanted.snapshot.bytes)
    assert validate(Path(str(result.path))).valid
    kept = fill(11, states, index=1, is_wanted=False)
    verdict = wait_until(lambda: read_verdict(kept))
    assert (verdict.finite, verdict.problem) == (True, None)
    assert names(out) == ["checkpoint-10"]
    assert process.end() == (0, "")


def test_a_snapshot_from_before_its_start_is_persisted(
    fill: Fill, states: dict[str, State], persister: Start
) -> None:
    """The snapshot is persisted without a ring after the persister's start."""
    fill(10, states)
    assert persister().wait_for_result().ok


def test_the_newest_wanted_wins(
    fill: Fill, states: dict[str, State], persister: Start, out: Path
) -> None:
    """Of two waiting snapshots the newer is persisted, and the older dropped."""
    fill(10, states, index=0)
    fill(20, states, index=1)
    process = persister()
    assert process.wait_for_result().step == 20
    assert process.end() == (0, "")
    assert names(out) == ["checkpoint-20"]


def test_an_older_one_is_persisted_where_the_newest_is_not_finite(
    fill: Fill, states: dict[str, State], persister: Start, out: Path
) -> None:
    """A save with NaN cannot be resumed from, so the one before it is persisted, too."""
    fill(10, states, index=0)
    fill(20, {"model.pt": {"weight": torch.tensor([1.0, float("nan")])}}, index=1)
    process = persister()
    process.wait_for_result(2)
    board = process.board()
    assert board is not None
    assert [(result.step, result.finite) for result in board.results] == [(20, False), (10, True)]


def test_the_slot_is_pinned_while_it_is_persisted(
    fill: Fill, persister: Start, out: Path, root: Path, disk: Disk
) -> None:
    """The slot is share-locked from the first byte to the commit, and free afterwards."""
    whole = fill(10, big())
    process = persister(argv=disk.argv)
    process.wait_for(lambda board: board.state == "persisting")
    wait_until(lambda: names(out))
    assert is_locked_for_writing(whole)
    disk.go_on()
    assert process.wait_for_result().ok
    assert not is_locked_for_writing(whole)


def is_locked_for_writing(whole: Whole) -> bool:
    """Whether a trainer could not take the slot."""
    with Lock(whole.slot.lock) as lock:
        return not lock.acquire()


def test_progress_is_on_the_board(fill: Fill, persister: Start, disk: Disk) -> None:
    """During a write the board has the name, the size, the bytes done and the start time."""
    whole = fill(10, big())
    process = persister(argv=disk.argv)
    board = process.wait_for(lambda board: board.current is not None and board.current.done_bytes)
    assert board.current is not None
    assert board.current[:4] == (10, 10, "checkpoint-10", whole.snapshot.bytes)
    assert 0 < board.current.done_bytes < whole.snapshot.bytes
    assert board.is_of_living
    disk.go_on()
    assert process.wait_for_result().seconds > 0


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]
)
def test_a_signal_to_the_whole_job_is_ignored(
    fill: Fill, states: dict[str, State], persister: Start, number: int
) -> None:
    """The persister goes on, and still persists."""
    process = persister()
    process.wait_for(lambda board: True)
    process.process.send_signal(number)
    fill(10, states)
    assert process.wait_for_result().ok
    assert process.end() == (0, "")


def test_the_end_of_its_input_lets_it_finish(fill: Fill, persister: Start, out: Path) -> None:
    """Wanted snapshots are on the disk when it exits, and unwanted ones are left."""
    fill(10, big(), index=0)
    fill(9, big(), index=1, is_wanted=False)
    process = persister()
    assert process.end() == (0, "")
    assert names(out) == ["checkpoint-10"]
    assert validate(out / "checkpoint-10").valid


@pytest.mark.parametrize("refusal", [None, "EPERM"])
def test_it_ends_with_the_process_it_serves(
    fill: Fill,
    states: dict[str, State],
    persister: Start,
    out: Path,
    root: Path,
    refusal: str | None,
) -> None:
    """`--until-pid` alone ends it after its process was killed, also without pidfds."""
    served = subprocess.Popen(["sleep", "60"])
    argv = [*refusing(refusal), sys.executable, "-P", str(PROGRAM)] if refusal else None
    process = persister("--until-pid", str(served.pid), argv=argv)
    process.wait_for(lambda board: True)
    fill(10, states)
    served.kill()
    served.wait()
    assert process.process.wait(90) == 0
    assert names(out) == ["checkpoint-10"]
    assert root.is_dir()


def test_without_an_end_it_does_not_start(root: Path) -> None:
    """With neither a pipe nor a pid it would outlive everything."""
    done = subprocess.run(
        [sys.executable, "-P", PROGRAM, "persist", "--directory", root],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "usage" in done.stderr


@pytest.mark.parametrize("is_wanted", [True, False])
def test_rescue_at_the_end_persists_the_newest_and_removes_all(
    fill: Fill, states: dict[str, State], persister: Start, out: Path, root: Path, is_wanted: bool
) -> None:
    """Without a supervisor, the newest snapshot outlives its trainer, and the memory is freed."""
    fill(10, states, index=0, is_wanted=is_wanted)
    fill(11, states, index=1, is_wanted=False)
    process = persister("--rescue-at-end")
    assert process.end() == (0, "")
    assert "checkpoint-11" in names(out)
    assert validate(out / "checkpoint-11").valid
    assert not root.exists()


def test_rescue_at_the_end_keeps_what_cannot_be_persisted(
    fill: Fill, states: dict[str, State], persister: Start, out: Path, root: Path
) -> None:
    """The only copy of the state is not removed, and stderr says where it is."""
    out.write_text("no directory")
    fill(11, states, is_wanted=False)
    code, said = persister("--rescue-at-end").end()
    assert code == 0
    assert "checkpoint-11" in said
    assert str(root) in said
    assert (root / "slot-0" / "checkpoint-11").is_dir()


def test_a_directory_with_a_living_writer_is_not_removed(
    fill: Fill, states: dict[str, State], persister: Start, root: Path
) -> None:
    """The next trainer may already use the directory."""
    fill(11, states)
    with Lock(SnapshotPaths(root).writer_lock) as lock:
        assert lock.acquire()
        assert persister("--rescue-at-end").end() == (0, "")
        assert root.is_dir()


def answer(process_board: PersisterRecord | None, number: int) -> bool:
    """Whether the rescue of this number was answered."""
    rescued = None if process_board is None else process_board.rescue
    return rescued is not None and rescued.id == number


def test_a_rescue_persists_what_nobody_wanted(
    fill: Fill, states: dict[str, State], persister: Start, out: Path, root: Path
) -> None:
    """The first rescue persists, the second finds the checkpoint, and each has a new id."""
    process = persister()
    first = persist_request.ask(root, "nothing is there yet")
    board = process.wait_for(lambda board: answer(board, first))
    assert board.rescue == (first, "nothing", None, None, None)
    fill(10, states, is_wanted=False)
    second = persist_request.ask(root, "the trainer hangs")
    board = process.wait_for(lambda board: answer(board, second))
    path = str(out / "checkpoint-10")
    assert board.rescue == (second, "persisted", 10, path, None)
    assert [(result.why, result.ok) for result in board.results] == [("rescue", True)]
    third = persist_request.ask(root, "it ended")
    board = process.wait_for(lambda board: answer(board, third))
    assert board.rescue == (third, "already", 10, path, None)
    assert first < second < third
    assert validate(Path(path)).valid


def test_a_rescue_leaves_what_is_newer_on_the_disk(
    fill: Fill, states: dict[str, State], persister: Start, out: Path, root: Path
) -> None:
    """A snapshot older than the newest save is not worth a write."""
    process = persister()
    fill(10, states, index=0, is_wanted=False)
    newest = fill(20, states, index=1)
    assert process.wait_for_result().step == 20
    void(newest.slot, is_bad=True)
    number = persist_request.ask(root, "it ended")
    board = process.wait_for(lambda board: answer(board, number))
    assert board.rescue == (number, "already", 20, str(out / "checkpoint-20"), None)
    assert names(out) == ["checkpoint-20"]


@pytest.mark.parametrize("is_torn", [False, True])
def test_a_rescue_goes_past_what_is_bad(
    fill: Fill, states: dict[str, State], persister: Start, out: Path, root: Path, is_torn: bool
) -> None:
    """If the newest snapshot has NaN or is torn, the older one is persisted."""
    fill(10, states, index=0, is_wanted=False)
    if is_torn:
        torn = {"change": lambda folder: os.truncate(folder / "model.pt", 99)}
        fill(11, states, index=1, is_wanted=False, **torn)
    else:
        infinite = {"model.pt": {"weight": torch.tensor([float("inf")])}}
        fill(11, infinite, index=1, is_wanted=False)
    number = persist_request.ask(root, "it ended")
    board = persister().wait_for(lambda board: answer(board, number))
    assert board.rescue == (number, "persisted", 10, str(out / "checkpoint-10"), None)


def test_a_failed_rescue_says_why(
    fill: Fill, states: dict[str, State], persister: Start, out: Path, root: Path
) -> None:
    """The outcome has the error, the process lives, and the next save works."""
    out.write_text("no directory")
    fill(10, states, is_wanted=False)
    process = persister()
    number = persist_request.ask(root, "it ended")
    board = process.wait_for(lambda board: answer(board, number))
    assert board.rescue is not None
    assert (board.rescue.outcome, board.rescue.path) == ("failed", None)
    assert "Not a directory" in str(board.rescue.error)
    out.unlink()
    fill(20, states, index=1)
    assert process.wait_for_result(2).ok


def test_a_rescue_during_a_hang_needs_no_lock(
    fill: Fill, states: dict[str, State], persister: Start, root: Path
) -> None:
    """A trainer that hangs with the slot's lock does not prevent the rescue."""
    whole = fill(10, states, is_wanted=False)
    with Lock(whole.slot.lock) as lock:
        assert lock.acquire()
        process = persister()
        number = persist_request.ask(root, "the trainer hangs")
        board = process.wait_for(lambda board: answer(board, number))
        assert board.rescue is not None
        assert board.rescue.outcome == "persisted"


def limit_file_size() -> None:
    """Limit the process that calls this to files of 8 MiB."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, 8 << 20))


def test_a_write_that_fails_is_a_result(
    fill: Fill, states: dict[str, State], persister: Start, out: Path
) -> None:
    """After a short write and EFBIG nothing is left or retried, and the next save works."""
    fill(10, big(), index=0)
    process = persister(preexec_fn=limit_file_size)
    result = process.wait_for_result()
    assert (result.ok, result.path, result.why) == (False, None, "save")
    assert "too large" in str(result.error)
    assert names(out) == []
    fill(20, states, index=1)
    assert process.wait_for_result(2).ok
    assert names(out) == ["checkpoint-20"]
    board = process.board()
    assert board is not None
    assert [result.step for result in board.results] == [10, 20]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.root
@pytest.mark.parametrize("is_seen_early", [True, False])
def test_a_full_disk_is_a_result(
    fill: Fill, states: dict[str, State], persister: Start, small_disk: Path, is_seen_early: bool
) -> None:
    """ENOSPC before or during a write leaves nothing behind, and the next save works."""
    process = persister()
    size = 24 if is_seen_early else 15
    # 15 MiB of data fit by the count of free bytes, but the file system needs more than that.
    extra = (
        {} if is_seen_early else {f"part{index}.pt": {"t": torch.zeros(9)} for index in range(999)}
    )
    fill(10, {**big(size << 20), **extra}, index=0, directory=small_disk)
    result = process.wait_for_result()
    assert not result.ok
    assert "No space left" in str(result.error)
    assert names(small_disk) == []
    fill(20, states, index=1, directory=small_disk)
    assert process.wait_for_result(2).ok
    assert validate(small_disk / "checkpoint-20").valid


FAILING = """
import os, sys
real = os.fsync
def fsync(fd):
    if os.path.exists(sys.argv[1]):
        raise OSError(5, "Input/output error")
    real(fd)
os.fsync = fsync
sys.path.insert(0, sys.argv[2])
from supervisor.memory.__main__ import main
sys.exit(main(sys.argv[3:]))
"""


def test_a_disk_that_fails_is_a_result(
    fill: Fill, states: dict[str, State], persister: Start, out: Path, tmp_path: Path
) -> None:
    """EIO of an fsync leaves nothing behind, and the next save on a working disk succeeds."""
    broken = tmp_path / "broken"
    broken.touch()
    argv = [sys.executable, "-P", "-c", FAILING, str(broken), str(PROGRAM.parents[2])]
    process = persister(argv=argv)
    fill(10, states, index=0)
    result = process.wait_for_result()
    assert (result.ok, result.error) == (False, "Input/output error")
    assert names(out) == []
    broken.unlink()
    fill(20, states, index=1)
    assert process.wait_for_result(2).ok
    assert names(out) == ["checkpoint-20"]


def test_a_kill_at_any_moment_tears_nothing(
    fill: Fill, persister: Start, root: Path, tmp_path: Path, disk: Disk
) -> None:
    """Under the name is all or nothing, and the next persister begins from scratch.

    Every second persister certainly dies amid its write.
    """
    chance = random.Random(7)
    killed_midway = 0
    state = big(48 << 20)
    for step in range(1, 13):
        out = tmp_path / str(step)
        fill(step, state, index=step % 2, directory=out)
        disk.stand()
        first = persister(argv=disk.argv)
        wait_until(lambda out=out: names(out))
        if step % 2:
            disk.go_on()
            time.sleep(chance.uniform(0, 0.06))
        first.kill()
        torn = [name for name in names(out) if name.startswith(".staging-")]
        killed_midway += bool(torn)
        assert len(names(out)) == 1
        if not torn:
            assert validate(out / f"checkpoint-{step}").valid
        second = persister()
        second.wait_for(lambda board, step=step: board.results and board.results[-1].step == step)
        assert second.end() == (0, "")
        assert names(out) == [f"checkpoint-{step}"]
        assert validate(out / f"checkpoint-{step}").valid
    assert killed_midway >= 6


def test_what_was_told_is_not_done_again(
    fill: Fill, states: dict[str, State], persister: Start, out: Path
) -> None:
    """The next persister knows its predecessor's results, failures and rescues included."""
    out.write_text("no directory")
    fill(10, states)
    first = persister()
    assert not first.wait_for_result().ok
    number = persist_request.ask(first.root, "it ended")
    first.wait_for(lambda board: answer(board, number))
    first.kill()
    out.unlink()
    second = persister()
    board = second.wait_for(lambda board: board.state == "idle")
    assert second.end() == (0, "")
    assert [result.step for result in board.results] == [10, 10]
    assert names(out) == []


def test_a_commit_that_was_not_told_is_told_by_the_next(
    fill: Fill, states: dict[str, State], persister: Start, out: Path, root: Path
) -> None:
    """After a kill between rename and board, the next persister finds the checkpoint."""
    fill(10, states)
    first = persister()
    assert first.wait_for_result().ok
    first.kill()
    SnapshotPaths(root).board.unlink()
    made = (out / "checkpoint-10").stat().st_ino
    result = persister().wait_for_result()
    assert (result.ok, result.step, result.path) == (True, 10, str(out / "checkpoint-10"))
    assert names(out) == ["checkpoint-10"]
    assert (out / "checkpoint-10").stat().st_ino == made


def test_one_at_a_time(fill: Fill, states: dict[str, State], persister: Start) -> None:
    """A second persister waits, takes no ring from the first, and takes over when that is gone."""
    first = persister()
    first.wait_for(lambda board: True)
    second = persister()
    fill(10, states, index=0)
    assert first.wait_for_result().ok
    assert second.process.poll() is None
    first.kill()
    second.wait_for(lambda board: board.state == "idle")
    fill(20, states, index=1)
    assert second.wait_for_result(2).step == 20


def test_one_that_waits_ends_with_its_service(persister: Start) -> None:
    """Closing a waiting persister's pipe ends it, though another persister is at work."""
    first = persister()
    first.wait_for(lambda board: True)
    assert persister().end() == (0, "")


def test_a_directory_that_vanishes_ends_it_without_noise(persister: Start, root: Path) -> None:
    """After RemoveIPC, or a finished run, the persister ends silently and makes nothing again."""
    process = persister()
    process.wait_for(lambda board: board.state == "idle")
    vanish(root)
    assert process.process.wait(90) == 0
    assert process.end() == (0, "")
    assert not root.exists()


def test_a_directory_that_vanishes_while_it_writes(
    fill: Fill, persister: Start, root: Path, out: Path, disk: Disk
) -> None:
    """The slot's files vanish under it: no error is printed, and nothing torn is left."""
    fill(10, big())
    process = persister(argv=disk.argv)
    wait_until(lambda: names(out))
    vanish(root)
    disk.go_on()
    assert process.process.wait(90) == 0
    assert process.end() == (0, "")
    clean_staging(out)
    assert all(validate(out / name).valid for name in names(out))


def test_without_a_directory_it_ends(persister: Start, root: Path) -> None:
    """A persister that is started too late has nothing to do."""
    vanish(root)
    assert persister().end() == (0, "")


def test_a_snapshot_given_up_is_no_failure(
    fill: Fill, states: dict[str, State], persister: Start, out: Path, disk: Disk
) -> None:
    """A slot that is voided while it is persisted leaves no checkpoint and no result."""
    process = persister(argv=disk.argv)
    process.wait_for(lambda board: True)
    whole = fill(10, big(), index=0)
    wait_until(lambda: names(out))
    void(whole.slot)
    disk.go_on()
    fill(5, states, index=1, sequence=11)
    result = process.wait_for_result()
    assert (result.step, result.ok) == (5, True)
    assert names(out) == ["checkpoint-5"]


def test_what_one_that_was_killed_could_not_take_back_is_by_the_next(
    fill: Fill, states: dict[str, State], persister: Start, out: Path
) -> None:
    """The persister died between the rename and its last look, while the run went back."""
    whole = fill(10, states)
    first = persister()
    assert first.wait_for_result().ok
    first.kill()
    void(whole.slot)
    process = persister()
    process.wait_for(lambda board: board.state == "idle")
    assert process.end() == (0, "")
    assert names(out) == [".set-aside"]
    assert validate(out / ".set-aside/superseded/checkpoint-10").valid


def test_what_was_bad_in_memory_alone_stays_on_the_disk(
    fill: Fill, states: dict[str, State], persister: Start, out: Path
) -> None:
    """Damage in a slot's memory says nothing of the checkpoint that was made of it before."""
    whole = fill(10, states)
    first = persister()
    assert first.wait_for_result().ok
    first.kill()
    void(whole.slot, is_bad=True)
    process = persister()
    process.wait_for(lambda board: board.state == "idle")
    assert process.end() == (0, "")
    assert names(out) == ["checkpoint-10"]


def test_what_is_put_back_by_hand_stays(
    fill: Fill, states: dict[str, State], persister: Start, out: Path
) -> None:
    """A checkpoint is withdrawn once: a user who puts it back knows better."""
    whole = fill(10, states)
    first = persister()
    assert first.wait_for_result().ok
    void(whole.slot)
    wake(whole.slot.folder.parent)
    wait_until(lambda: names(out) == [".set-aside"])
    wait_until(lambda: read_given_up(whole.slot.folder.parent) == [])
    first.kill()
    (out / ".set-aside/superseded/checkpoint-10").rename(out / "checkpoint-10")
    process = persister()
    process.wait_for(lambda board: board.state == "idle")
    assert process.end() == (0, "")
    assert (out / "checkpoint-10").is_dir()


def test_a_shelf_that_cannot_be_written_is_tried_again(
    fill: Fill, states: dict[str, State], persister: Start, out: Path
) -> None:
    """The checkpoint that the run went back behind is withdrawn once the disk works again."""
    whole = fill(10, states)
    process = persister()
    assert process.wait_for_result().ok
    places = (out / ".set-aside", out.with_name(f".{out.name}.set-aside"))
    for place in places:
        place.write_text("no directory")
    void(whole.slot)
    wake(whole.slot.folder.parent)
    time.sleep(0.3)
    assert (out / "checkpoint-10").is_dir()
    for place in places:
        place.unlink()
    wait_until(lambda: names(out) == [".set-aside"])
    assert process.end() == (0, "")


@pytest.mark.parametrize("error", ["EINVAL", "EPERM", "ENOSYS"])
def test_a_system_without_batch_scheduling(
    fill: Fill, states: dict[str, State], root: Path, out: Path, error: str
) -> None:
    """A container's filter may refuse batch scheduling, and the persister still saves."""
    fill(10, states)
    script = f"""
import errno, os, runpy, sys
def refuse(*_): raise OSError(errno.{error}, "refused")
os.sched_setscheduler = refuse
sys.argv = [{str(PROGRAM)!r}, "persist", "--directory", {str(root)!r}, "--rescue-at-end"]
runpy.run_path({str(PROGRAM)!r}, run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", script], input="", capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert names(out) == ["checkpoint-10"]


def test_asleep_it_does_nothing(persister: Start) -> None:
    """An idle persister never wakes by itself, and takes less than 24 MB of resident memory."""
    process = persister()
    process.wait_for(lambda board: board.state == "idle")
    status = Path(f"/proc/{process.process.pid}/status")

    def fact(name: str) -> int:
        line = next(line for line in status.read_text().splitlines() if line.startswith(name))
        return int(line.split()[1])

    def is_asleep_for(seconds: float) -> bool:
        before = fact("voluntary_ctxt_switches")
        time.sleep(seconds)
        return fact("voluntary_ctxt_switches") == before

    wait_until(lambda: is_asleep_for(1.0))
    assert fact("VmRSS") < 24_000


def test_memory_is_bounded(fill: Fill, persister: Start) -> None:
    """Persisting 600 MiB takes one buffer of 1 MiB, which is freed afterwards."""
    process = persister()
    process.wait_for(lambda board: board.state == "idle")
    fill(10, big(600 << 20))
    assert process.wait_for_result().ok
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    facts = dict(line.split(":", 1) for line in status.splitlines())
    assert int(facts["VmHWM"].split()[0]) < 48_000
    assert int(facts["VmRSS"].split()[0]) < 28_000


def test_a_seal_without_its_files_is_a_result(persister: Start, fill: Fill, root: Path) -> None:
    """An emptied slot, or a wrong seal, gives one failed save each and nothing else."""
    process = persister()
    states = {"model.pt": {"weight": torch.randn(4)}}
    fill(10, states, index=0, change=lambda folder: (folder / "model.pt").unlink())
    assert not process.wait_for_result().ok
    whole = fill(20, states, index=1)
    process.wait_for_result(2)
    for number, changes in enumerate(
        ({"kind": "odd"}, {"directory": "relative"}, {"step": 21}, {"bytes": 1}), start=3
    ):
        seal = SealWriter(whole.slot.seal)
        snapshot = whole.snapshot._replace(written=float(number), **changes)
        seal.begin()
        seal.close_over(30 + number, snapshot)
        seal.close()
        wake(root)
        assert not process.wait_for_result(number).ok
    assert process.end() == (0, "")


def test_a_trainer_that_goes_on_tears_nothing(
    fill: Fill, persister: Start, out: Path, tmp_path: Path
) -> None:
    """With snapshots as fast as possible, in any free slot, each save is of one step."""
    process = persister()
    process.wait_for(lambda board: board.state == "idle")
    saved: set[int] = set()
    skipped = 0
    index = 0
    for step in range(1, 2000):
        state = {"model.pt": {"a": torch.full((1 << 19,), float(step)), "b": torch.tensor(step)}}
        while True:
            try:
                fill(step, state, index=index)
            except AssertionError:  # pinned: try the other slot, to which the pin may move, too
                skipped += 1
                index = 1 - index
            else:
                break
        index = 1 - index
        board = process.board()
        saved |= {result.step for result in board.results if result.ok} if board else set()
        if len(saved) >= 25 and skipped:
            break
    assert process.end() == (0, "")
    board = process.board()
    assert board is not None
    assert all(result.ok for result in board.results)
    assert skipped
    found = [int(name.removeprefix("checkpoint-")) for name in names(out)]
    assert saved <= set(found)
    assert max(found) == step
    for number in found:
        loaded = torch.load(out / f"checkpoint-{number}" / "model.pt", weights_only=True)
        assert loaded["a"].eq(number).all()
        assert int(loaded["b"]) == number
