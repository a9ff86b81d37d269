"""Snapshots whose copies end badly, or whose weights change meanwhile: whole, or not at all."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from supervisor.memory.seal import SlotState
from supervisor.memory.slots import read_whole
from supervisor.torch import Checkpointer, load, persisting, sealing
from supervisor.torch.copying import Pairs
from supervisor.torch.host import HostCopier
from supervisor.torch.inflight import Copying
from tests.checkpointer.conftest import Training, assert_same
from tests.checkpointer.late import LateCopying, begin, seals
from tests.vanishing import vanish

Make = Callable[..., Checkpointer]


def change_weights(training: Training) -> None:
    """In place, outside of an optimizer's step: as clipping by hand, or a swap of averages."""
    with torch.no_grad():
        for parameter in training.model.parameters():
            parameter.mul_(0.5)


@pytest.mark.parametrize("is_sealed_first", [False, True])
def test_weights_changed_meanwhile_are_in_no_snapshot(
    make: Make, memory: Path, caplog: pytest.LogCaptureFixture, is_sealed_first: bool
) -> None:
    """Half of the old weights and half of the new would have the right sums: it does not count."""
    training, streams, keep = begin(make)
    training.step()
    before = seals(memory)
    assert before.count(SlotState.WHOLE) == 1
    keep.snapshot(2)
    change_weights(training)
    if is_sealed_first:  # the copies end before the next step
        streams.gate.set()
        keep.wait_for_copies()
    training.step()
    streams.gate.set()
    keep.wait_for_copies()
    assert seals(memory).count(SlotState.WHOLE) == 1
    assert read_whole(memory)[0].snapshot.step == 1
    assert "no snapshot of step 2: weights were changed outside" in caplog.text
    # from then on nobody can change them meanwhile, and the slot is as good as before
    streams.gate.clear()
    threading.Timer(0.2, streams.gate.set).start()
    assert keep.snapshot(3).ok
    state = training.state()
    change_weights(training)
    found = load(read_whole(memory)[0].path)
    assert found["training_state.json"]["global_step"] == 3
    assert_same({name: found[name] for name in training.sources}, state)


def test_a_save_of_weights_that_changed_has_failed(make: Make, out: Path) -> None:
    """It is told as one that the disk refused; the next one is made."""
    training, streams, keep = begin(make)
    keep.save(2)
    training.model.load_state_dict(training.model.state_dict())
    streams.gate.set()
    training.step()
    keep.drain()
    (failed,) = keep.news()
    assert (failed.outcome, failed.step, failed.path) == ("failed", 2, out / "checkpoint-2")
    assert failed.error is not None
    assert "wait_for_copies()" in failed.error
    assert not (out / "checkpoint-2").exists()
    assert keep.save(3, wait=True).saved.ok  # type: ignore[union-attr]


def test_changes_that_are_no_harm(make: Make, memory: Path) -> None:
    """Buffers, which were cloned; anything after an optimizer's step or after the wait."""
    training, streams, keep = begin(make)
    keep.snapshot(2)
    training.model[1].running_mean.zero_()
    training.step()
    change_weights(training)
    streams.gate.set()
    keep.wait_for_copies()
    assert read_whole(memory)[0].snapshot.step == 2
    keep.snapshot(3)
    keep.wait_for_copies()
    change_weights(training)
    training.step()
    assert read_whole(memory)[0].snapshot.step == 3


class BrokenCopying(LateCopying):
    """A device that fails while it copies."""

    def wait(self) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")


def test_a_device_that_fails_leaves_the_snapshot_before(
    make: Make, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was copied into is not whole, and the save has failed."""
    _, streams, keep = begin(make)
    monkeypatch.setattr(streams, "copy", lambda pairs: BrokenCopying(pairs, streams.gate))
    keep.save(2)
    keep.wait_for_copies()
    (failed,) = keep.news()
    assert failed.error == (
        "copying from the device failed: CUDA error: an illegal memory access was encountered"
    )
    assert read_whole(memory)[0].snapshot.step == 1


def test_a_save_whose_memory_vanishes_meanwhile_has_failed(make: Make, memory: Path) -> None:
    """RemoveIPC between the copies' begin and end: it is told, and the next one is made."""
    training, streams, keep = begin(make)
    keep.save(2)
    vanish(memory)
    streams.gate.set()
    keep.drain()
    (failed,) = keep.news()
    assert (failed.outcome, failed.step) == ("failed", 2)
    assert "it could not be kept in memory" in str(failed.error)
    assert "No such file" in str(failed.error)
    training.step()
    assert keep.save(3, wait=True).saved.ok  # type: ignore[union-attr]


def test_a_save_that_is_waited_for_needs_no_memory(
    make: Make, memory: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last save of a run: where memory fails the state goes straight to the disk."""
    training, streams, keep = begin(make)
    copy = streams.copy

    def lose(pairs: Pairs) -> Copying:
        vanish(memory)
        return copy(pairs)

    monkeypatch.setattr(streams, "copy", lose)
    streams.gate.set()
    saved = keep.save(2, kind="final", wait=True).saved
    assert saved is not None
    assert saved.ok, saved.error
    found = load(out / "checkpoint-2")
    assert_same({name: found[name] for name in training.sources}, training.state())
    assert keep.news() == []


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT interrupts, also where the tests were begun as a shell's background job."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_while_copies_are_waited_for(make: Make, memory: Path) -> None:
    """Ctrl-C there: the next save waits for them all the same, and no slot is closed over it."""
    training, streams, keep = begin(make)
    keep.snapshot(2)
    threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        keep.wait_for_copies()
    threading.Timer(0.2, streams.gate.set).start()
    training.step()
    while not keep.snapshot(3).ok:
        pass
    keep.wait_for_copies()
    for whole in read_whole(memory):
        assert load(whole.path)["training_state.json"]["global_step"] == whole.snapshot.step
    assert [whole.snapshot.step for whole in read_whole(memory)] == [3, 2]


@pytest.mark.parametrize("is_interrupted", [False, True])
def test_without_another_thread_training_waits(
    make: Make, memory: Path, monkeypatch: pytest.MonkeyPatch, is_interrupted: bool
) -> None:
    """A limit of threads, or Ctrl-C as it begins: the slot is closed by whoever comes next."""
    training, streams, keep = begin(make)
    problem = KeyboardInterrupt() if is_interrupted else RuntimeError("can't start new thread")

    class NoThread:
        def __init__(self, **_: object) -> None:
            """It will not start."""

        def start(self) -> None:
            raise problem

    monkeypatch.setattr(sealing.threading, "Thread", NoThread)
    streams.gate.set()
    if is_interrupted:
        with pytest.raises(KeyboardInterrupt):
            keep.snapshot(2)
        assert [whole.snapshot.step for whole in read_whole(memory)] == [1]
    else:
        assert keep.snapshot(2).ok
    monkeypatch.undo()
    training.step()
    assert streams.begun[-1].held == 1
    keep.wait_for_copies()
    assert read_whole(memory)[0].snapshot.step == 2


def test_copies_end_before_a_slot_is_given_up(
    make: Make, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fails after the device has begun waits for it: that memory is written next."""
    training, streams, keep = begin(make)
    streams.gate.set()
    with monkeypatch.context() as patch:
        patch.setattr(HostCopier, "__call__", lambda *_: _fail())
        with pytest.raises(RuntimeError, match="no copy"):
            keep.snapshot(2)
    assert not streams.begun[-1].pairs
    training.step()
    while not keep.snapshot(3).ok:
        pass
    keep.wait_for_copies()
    assert read_whole(memory)[0].snapshot.step == 3


def _fail() -> None:
    raise RuntimeError("no copy")


def test_a_record_that_does_not_fit_is_a_failed_save(make: Make, out: Path) -> None:
    """Found as the slot is closed, in a thread: told like everything else that fails."""
    _, streams, keep = begin(make)
    streams.gate.set()
    keep.save(2, before=[out / f"{number:0200}" for number in range(100)])
    keep.drain()
    (failed,) = keep.news()
    assert "does not fit its seal" in str(failed.error)


def test_a_persister_that_cannot_be_started(
    make: Make, out: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Too many processes: said, and the save is one save, whoever makes it in the end."""
    training = Training()
    training.step()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(persisting, "UNATTENDED_S", 0.2)
    keep = make(training.sources, snapshot_steps=0)
    training.step()
    saved = keep.save(2, wait=True).saved
    assert saved is not None
    assert saved.ok, saved.error
    assert keep.news() == []
    assert "no process can be started" in caplog.text
    assert (out / "checkpoint-2").is_dir()
