"""Snapshots whose copies fail, or whose weights change meanwhile, are whole or do not count."""

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
    """Change weights in place outside an optimizer's step, as manual clipping does."""
    with torch.no_grad():
        for parameter in training.model.parameters():
            parameter.mul_(0.5)


@pytest.mark.parametrize("is_sealed_first", [False, True])
def test_weights_changed_meanwhile_are_in_no_snapshot(
    make: Make, memory: Path, caplog: pytest.LogCaptureFixture, is_sealed_first: bool
) -> None:
    """A mix of old and new weights would have right checksums, so the snapshot must not count."""
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
    # Later snapshots are copied before training goes on, and the slot is usable again.
    streams.gate.clear()
    threading.Timer(0.2, streams.gate.set).start()
    assert keep.snapshot(3).ok
    state = training.state()
    change_weights(training)
    found = load(read_whole(memory)[0].path)
    assert found["training_state.json"]["global_step"] == 3
    assert_same({name: found[name] for name in training.sources}, state)


def test_a_save_of_weights_that_changed_has_failed(make: Make, out: Path) -> None:
    """The save is reported as failed, as if the disk had refused it, and the next one is made."""
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
    """Changed buffers, which were cloned, and changes after a step or a wait do no harm."""
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
    """The slot that was being filled is not whole, and the save has failed."""
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
    """RemoveIPC during the copies makes the save fail with a report, and the next one is made."""
    training, streams, keep = begin(make)
    keep.save(2)
    vanish(memory)
    streams.gate.set()
    keep.drain()
    (failed,) = keep.news()
    assert (failed.outcome, failed.step) == ("failed", 2)
    assert "the snapshot could not be kept in memory" in str(failed.error)
    assert "No such file" in str(failed.error)
    training.step()
    assert keep.save(3, wait=True).saved.ok  # type: ignore[union-attr]


def test_a_save_that_is_waited_for_needs_no_memory(
    make: Make, memory: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the last save of a run, the state goes straight to the disk if memory fails."""
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
    """SIGINT interrupts, even when the tests were started as a shell's background job."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_while_copies_are_waited_for(make: Make, memory: Path) -> None:
    """After Ctrl-C in the wait, the next snapshot waits for the copies before it seals a slot."""
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
    """Without a thread, or after Ctrl-C at its start, the next caller closes the slot."""
    training, streams, keep = begin(make)
    problem = KeyboardInterrupt() if is_interrupted else RuntimeError("can't start new thread")

    class NoThread:
        def __init__(self, *_: object) -> None:
            """The thread will not start."""

        def start(self) -> None:
            raise problem

    monkeypatch.setattr(sealing, "BackgroundThread", NoThread)
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
    """An error after the device has begun waits for its copies, as that memory is written next."""
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
    """The error, found in the sealing thread, is reported as a failed save."""
    _, streams, keep = begin(make)
    streams.gate.set()
    keep.save(2, before=[out / f"{number:0200}" for number in range(100)])
    keep.drain()
    (failed,) = keep.news()
    assert "does not fit its seal" in str(failed.error)


def test_a_persister_that_cannot_be_started(
    make: Make, out: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With too many processes the log says so, and the trainer makes the one save itself."""
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
    assert "saves snapshots to the disk cannot be started" in caplog.text
    assert (out / "checkpoint-2").is_dir()
