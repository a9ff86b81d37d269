"""Trouble around a training process: it trains on, and what can be saved is saved."""

import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from supervisor.checkpoint.validate import validate
from supervisor.memory.persister_status import read_board
from supervisor.memory.slots import read_whole
from supervisor.memory.space import MemoryRoom
from supervisor.torch import (
    AlreadyWrittenError,
    Checkpointer,
    ConfigurationError,
    load,
    persisting,
    settle,
)
from supervisor.torch.place import own_root
from tests.checkpointer.conftest import Training, assert_same
from tests.vanishing import vanish

Make = Callable[..., Checkpointer]
ROOT = Path(__file__).resolve().parents[2]


def wait_until(claim: Callable[[], Any], timeout_s: float = 90) -> Any:
    """Return the claim's value once it is true."""
    deadline = time.monotonic() + timeout_s
    while not (found := claim()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)
    return found


def until_whole(keep: Checkpointer, step: int) -> None:
    """Take a snapshot, trying again until its memory is there."""
    wait_until(lambda: keep.snapshot(step).ok)


def assert_saved(path: Path, training: Training) -> None:
    """Assert that a checkpoint on the disk is proven and holds the training's present state."""
    verdict = validate(path)
    assert (verdict.valid, verdict.finite) == (True, True), verdict
    found = load(path)
    assert_same({name: found[name] for name in training.sources}, training.state())


def test_without_room_it_goes_straight_to_the_disk(
    make: Make,
    out: Path,
    memory: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The lack of room is logged once, `save` writes before it returns, no snapshot is taken."""
    no_room = MemoryRoom(False, 1, 1, "/dev/shm has 1 MiB free, 2 MiB are needed")
    monkeypatch.setattr("supervisor.torch.preparation.room", lambda *_: no_room)
    training = Training()
    keep = make(training.sources)
    training.step()
    with caplog.at_level(logging.WARNING):
        wait_until(lambda: "no snapshots in memory" in (keep.snapshot(1).reason or ""))
        for step in (2, 3):
            training.step()
            taken = keep.save(step, epoch=1, kind="epoch")
            assert taken.sequence is None
            assert taken.saved is not None
            assert taken.saved.ok, taken
            assert_saved(out / f"checkpoint-{step}", training)
    assert caplog.text.count("1 MiB free, 2 MiB are needed") == 1
    assert not list(memory.rglob("*.pt"))


def test_a_direct_save_needs_no_second_copy(
    make: Make, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resident memory grows by far less than the state's 64 MiB."""
    monkeypatch.setattr(
        "supervisor.torch.preparation.room", lambda *_: MemoryRoom(False, 1, 1, "none")
    )
    state = {str(number): torch.ones(4 << 18) for number in range(16)}
    keep = make({"state.pt": lambda: state})
    keep.save(1)  # imports and allocations that happen once
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew, proc(5)
    before = resident("VmRSS")
    assert keep.save(2).ok
    assert resident("VmHWM") - before < 24 << 20
    assert_same(load(out / "checkpoint-2")["state.pt"], state)


def resident(name: str) -> int:
    """A figure of this process's memory, in bytes."""
    text = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith(name))


def test_a_disk_that_fails_is_a_value(make: Make, out: Path, tmp_path: Path) -> None:
    """A failed save is a value: training goes on, and the next save writes everything."""
    out.write_text("a file where the directory should be")
    training = Training()
    keep = make(training.sources)
    training.step()
    taken = keep.save(1, wait=True)
    assert taken.sequence is not None
    assert taken.saved is not None
    assert taken.saved.outcome == "failed"
    assert taken.saved.error
    out.unlink()
    training.step()
    assert keep.save(2, wait=True).saved.ok  # type: ignore[union-attr]
    assert_saved(out / "checkpoint-2", training)


def test_a_vanished_directory_is_made_again(
    make: Make, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After logind's RemoveIPC, snapshots go into a new directory and saves reach the disk."""
    # The test has a place of its own, because all of this user's processes share the real one.
    shared = Path(tempfile.mkdtemp(prefix="vanish-", dir="/dev/shm"))
    monkeypatch.setattr("supervisor.torch.place.SHARED_MEMORY", shared)
    memory = own_root(out)[0]
    training = Training()
    keep = make(training.sources)
    training.step()
    until_whole(keep, 1)
    vanish(memory.parent)
    training.step()
    until_whole(keep, 2)
    assert (read_whole(memory)[0].snapshot.step, memory.stat().st_mode & 0o777) == (2, 0o700)
    assert memory.parent.stat().st_mode & 0o777 == 0o700
    vanish(memory)
    training.step()
    assert keep.save(3, wait=True).ok
    assert_saved(out / "checkpoint-3", training)
    keep.close()
    vanish(shared)


def test_a_persister_that_is_killed_is_replaced(make: Make, out: Path, memory: Path) -> None:
    """A save with a wait ends, by a new persister or by the trainer itself."""
    training = Training()
    keep = make(training.sources)
    training.step()
    keep.save(1, wait=True)
    board = read_board(memory)
    assert board is not None
    os.kill(board.pid, signal.SIGKILL)
    training.step()
    assert keep.save(2, wait=True).saved.ok  # type: ignore[union-attr]
    assert_saved(out / "checkpoint-2", training)


def test_nobody_persists_but_the_trainer(
    make: Make, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a supervisor's directory without a persister, the trainer saves by itself."""
    monkeypatch.setattr(persisting, "UNATTENDED_S", 0.1)
    monkeypatch.setenv("SUPERVISOR_SNAPSHOT_DIR", str(tmp_path / "memory"))
    monkeypatch.setenv("SUPERVISOR_RUN_ID", "abc")
    monkeypatch.setenv("SUPERVISOR_ATTEMPT", "3")
    training = Training()
    keep = make(training.sources)
    training.step()
    assert keep.save(1, wait=True).saved.ok  # type: ignore[union-attr]
    assert_saved(out / "checkpoint-1", training)
    record = read_whole(tmp_path / "memory")[0].snapshot
    assert (record.run_id, record.attempt) == ("abc", 3)


def test_the_newest_of_waiting_saves_wins(make: Make, out: Path, memory: Path) -> None:
    """With a stopped persister saves do not wait, and the newest replaces older waiting ones."""
    training = Training()
    keep = make(training.sources, snapshot_steps=1)
    training.step()
    keep.save(1, wait=True)
    board = read_board(memory)
    assert board is not None
    os.kill(board.pid, signal.SIGSTOP)
    try:
        for _ in range(5):
            keep.save(training.step())
        assert {one.outcome for one in keep.news()} == {"replaced"}
        waiting = keep.newest_waiting_step
        # Snapshots leave a waiting save alone.
        for _ in range(4):
            keep.snapshot(training.step())
        assert waiting in {whole.snapshot.step for whole in read_whole(memory)}
    finally:
        os.kill(board.pid, signal.SIGCONT)
    keep.drain()
    assert [one.step for one in keep.news() if one.ok] == [waiting]
    assert (out / f"checkpoint-{waiting}").is_dir()


def test_a_second_writer_is_refused(make: Make, out: Path) -> None:
    """Another process on the same checkpoint directory, such as a second rank, is refused."""
    make(Training().sources)
    code = (
        "import sys, torch; from supervisor.torch import Checkpointer;"
        "Checkpointer({'m.pt': torch.nn.Linear(1, 1)}, directory=sys.argv[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, out], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 1
    assert f"{AlreadyWrittenError.__name__}: another process writes snapshots" in done.stderr


def idle(gate: Any) -> None:
    """Wait, as a data-loader worker does."""
    gate.wait(60)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_workers_disturb_nothing(make: Make, out: Path, memory: Path) -> None:
    """Forked children that outlive a close keep neither the locks nor the persister."""
    context = multiprocessing.get_context("fork")
    gate = context.Event()
    training = Training()
    keep = make(training.sources)
    training.step()
    until_whole(keep, 1)
    worker = context.Process(target=idle, args=(gate,))
    worker.start()
    try:
        training.step()
        until_whole(keep, 2)
        training.step()
        keep.close()
        assert worker.is_alive()
        assert not memory.exists()
        found = load(out / "checkpoint-2")
        assert found["training_state.json"]["global_step"] == 2
    finally:
        gate.set()
        worker.join()


LOOP = """
import sys, torch
from supervisor.torch import Checkpointer
torch.manual_seed(0)
weights = torch.zeros(1 << 18)
counter = torch.zeros(1)
keep = Checkpointer({"state.pt": lambda: {"weights": weights, "counter": counter}},
                    directory=sys.argv[1], snapshot_steps=1)
step = 0
while True:
    step += 1
    weights += 1
    counter += 1
    taken = keep.snapshot(step)
    if taken.ok:
        print(step, flush=True)
"""


@pytest.mark.parametrize("delay_ms", [0, 3, 7, 12])
def test_killed_anywhere_leaves_a_whole_one(out: Path, delay_ms: int) -> None:
    """After SIGKILL amid snapshots, one of the last two snapshots is whole."""
    command = [sys.executable, "-c", LOOP, str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            for _ in range(5):
                process.stdout.readline()
            time.sleep(delay_ms / 1000)  # anywhere in a snapshot, on purpose
        finally:
            process.kill()
        done = [int(line) for line in process.stdout.read().split()]
    last = done[-1] if done else 0
    assert settle(out) == []
    newest = max(out.glob("checkpoint-*"), key=lambda path: int(path.name[11:]))
    step = int(newest.name[11:])
    assert step >= last - 1
    state = load(newest)["state.pt"]
    assert state["counter"].item() == step
    assert bool((state["weights"] == step).all())
    assert validate(newest).valid
    assert not own_root(out)[0].exists()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 3 MiB."""
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(path)], check=True)
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.mark.root
def test_a_tmpfs_that_is_full_is_no_sigbus(
    make: Make, out: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If others fill the tmpfs before the allocation, the save says so and goes to the disk."""
    monkeypatch.setenv("SUPERVISOR_SNAPSHOT_DIR", str(small / "memory"))
    monkeypatch.setattr(
        "supervisor.torch.preparation.room", lambda *_: MemoryRoom(True, None, None, "")
    )
    monkeypatch.setattr("supervisor.torch.memory.RETRY_S", 0.0)
    state = {"weights": torch.ones(1 << 19)}
    keep = make({"state.pt": lambda: state})
    taken = keep.save(1)
    assert "No space left on device" in str(taken.reason)
    assert taken.saved is not None
    assert taken.saved.ok
    assert_same(load(out / "checkpoint-1")["state.pt"], state)
    assert shutil.disk_usage(small).used < 1 << 20
    # A little later there is room again.
    state = {"weights": torch.ones(1 << 17)}
    keep.save(2)
    until_whole(keep, 3)


@pytest.mark.parametrize("is_linked", [False, True])
def test_a_directory_that_the_supervisor_does_not_look_at(
    make: Make, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_linked: bool
) -> None:
    """A resume would begin from nothing over the saves: an error says so, and nothing is made."""
    looked_at = tmp_path / "run"
    if is_linked:
        out.mkdir()
        looked_at.symlink_to(out)
    monkeypatch.setenv("SUPERVISOR_CHECKPOINT_DIR", str(looked_at))
    training = Training()
    if is_linked:
        training.step()
        assert make(training.sources).save(1, wait=True).saved.ok  # type: ignore[union-attr]
        return
    with pytest.raises(ConfigurationError, match=r"needs `checkpoints: \{directory: .*looks in"):
        make(training.sources)
    assert not out.exists()


def test_a_training_that_ends_before_its_first_snapshot_leaves_nothing(
    make: Make, memory: Path
) -> None:
    """A training that fails early leaves no empty directory in /dev/shm."""
    keep = make(Training().sources)
    assert memory.is_dir()
    keep.close()
    assert not memory.exists()
