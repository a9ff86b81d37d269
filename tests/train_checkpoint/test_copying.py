"""Copies that are under way while training goes on: what must not be in a snapshot, is not.

A device is stood in for: its copies are made only when somebody waits for them, as late as can be.
"""

import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from supervisor.snapshot.seal import SlotState, read_seal
from supervisor.snapshot.slots import SnapshotPaths, read_whole
from tests.train_checkpoint.conftest import Training, assert_same
from train.checkpoint import Checkpointer, load
from train.checkpoint.copying import Copier, Pairs
from train.checkpoint.inflight import Copying

Make = Callable[..., Checkpointer]


class LateCopying:
    """Copies that nobody has made yet."""

    def __init__(self, pairs: Pairs, gate: threading.Event) -> None:
        self.pairs = pairs
        self._gate = gate
        self._lock = threading.Lock()
        self.held = 0

    def hold(self) -> None:
        """The device's queue: what it is told after this comes after the copies."""
        self.held += 1
        self._copy()

    def wait(self) -> None:
        """The thread that seals: it waits until the test lets it."""
        self._gate.wait(30)
        self._copy()

    def _copy(self) -> None:
        with self._lock, torch.no_grad():
            for view, source in self.pairs:
                view.copy_(source)
            self.pairs = []


class LateStreams:
    """A device on which everything is but what is on none: 0-d counters, random states."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.begun: list[LateCopying] = []

    def takes(self, sources: Sequence[torch.Tensor]) -> list[bool]:
        """As a GPU would hold weights, moments and buffers."""
        return [source.dim() > 0 for source in sources]

    def copy(self, pairs: Pairs) -> Copying:
        """Note them, and copy nothing."""
        self.begun.append(LateCopying(pairs, self.gate))
        return self.begun[-1]


def seals(memory: Path) -> list[SlotState]:
    """What the seals of both slots say."""
    return [read_seal(slot.seal).state for slot in SnapshotPaths(memory).slots]


def ready(keep: Checkpointer, training: Training, streams: LateStreams) -> None:
    """The memory is there, and a first snapshot in it."""
    training.step()
    streams.gate.set()
    while not keep.snapshot(training.steps).ok:
        pass
    keep.wait_for_copies()
    streams.gate.clear()
    streams.begun.clear()


def test_copies_in_flight_are_of_their_step(make: Make, memory: Path) -> None:
    """BatchNorm's buffers change in the next forward, weights in its step: neither gets in."""
    training, streams = Training(), LateStreams()
    keep = make(training.sources, streams=streams, snapshot_steps=0)
    ready(keep, training, streams)
    training.step()
    before = training.state()
    assert keep.snapshot(2).ok
    (copying,) = streams.begun
    training.model(torch.randn(8, training.width))  # a forward: the buffers move
    buffers = dict(training.model.named_buffers())
    assert not torch.equal(buffers["1.running_mean"], before["model.pt"]["1.running_mean"])
    assert copying.pairs, "nothing waits for a forward pass"
    assert copying.held == 0
    training.step()  # the pre-step hook lets the copies go first
    assert copying.held == 1
    assert not copying.pairs
    # not whole before the copies are known to be done
    assert seals(memory).count(SlotState.WHOLE) == 1
    streams.gate.set()
    keep.wait_for_copies()
    assert seals(memory).count(SlotState.WHOLE) == 2
    found = load(read_whole(memory)[0].path)
    assert found["training_state.json"]["global_step"] == 2
    assert_same({name: found[name] for name in training.sources}, before)


def test_every_optimizer_waits(make: Make) -> None:
    """Also one that is no source of its own: a wrapper, or a second one of the same model."""
    training, streams = Training(), LateStreams()
    other = torch.optim.SGD(training.model.parameters(), lr=0.1)
    keep = make(training.sources, streams=streams, snapshot_steps=0)
    ready(keep, training, streams)
    keep.snapshot(2)
    (copying,) = streams.begun
    other.step()
    assert copying.held == 1
    streams.gate.set()
    keep.close()
    training.step()
    assert copying.held == 1, "nothing is left behind in torch"


def test_a_next_snapshot_waits_for_the_last(make: Make, memory: Path) -> None:
    """Two in a row: the first is sealed before the second begins."""
    training, streams = Training(), LateStreams()
    keep = make(training.sources, streams=streams, snapshot_steps=0)
    ready(keep, training, streams)
    keep.snapshot(2)
    streams.gate.set()
    training.step()
    while not keep.snapshot(3).ok:
        pass
    keep.wait_for_copies()
    assert [whole.snapshot.step for whole in read_whole(memory)] == [3, 2]


def test_a_save_that_is_waited_for_waits_for_the_copies(make: Make, out: Path) -> None:
    """It is on the disk as it was."""
    training, streams = Training(), LateStreams()
    keep = make(training.sources, streams=streams, snapshot_steps=0)
    ready(keep, training, streams)
    streams.gate.set()
    training.step()
    assert keep.save(2, wait=True).saved.ok  # type: ignore[union-attr]
    found = load(out / "checkpoint-2")
    assert_same({name: found[name] for name in training.sources}, training.state())


def test_only_what_an_optimizer_changes_is_read_late() -> None:
    """Parameters and moments as they are; buffers, averages and frozen weights by clones."""
    training, streams = Training(), LateStreams()
    training.step()
    frozen = torch.randn(4)
    copier = Copier([training.optimizer], streams)
    weight = training.model[0].weight.detach()
    moment = training.optimizer.state[training.model[0].weight]["exp_avg"]
    buffer = training.model[1].running_mean
    sources = [weight, moment, buffer, frozen, torch.tensor(3.0)]
    views = [torch.zeros_like(source) for source in sources]
    assert copier(views, sources) is not None
    late = {source.data_ptr() for _, source in streams.begun[0].pairs}
    assert late >= {weight.data_ptr(), moment.data_ptr()}
    assert not late & {buffer.data_ptr(), frozen.data_ptr()}
    assert views[4] == 3.0, "what is on no device is copied at once"


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
    training, streams = Training(), LateStreams()
    keep = make(training.sources, streams=streams, snapshot_steps=0)
    ready(keep, training, streams)
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
    training, streams = Training(), LateStreams()
    keep = make(training.sources, streams=streams, snapshot_steps=0)
    ready(keep, training, streams)
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
    training, streams = Training(), LateStreams()
    keep = make(training.sources, streams=streams, snapshot_steps=0)
    ready(keep, training, streams)
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
    training, streams = Training(), LateStreams()
    keep = make(training.sources, streams=streams, snapshot_steps=0)
    ready(keep, training, streams)
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
    training, streams = Training(), LateStreams()
    keep = make(training.sources, streams=streams, snapshot_steps=0)
    ready(keep, training, streams)
    keep.save(2)
    shutil.rmtree(memory)
    streams.gate.set()
    keep.drain()
    (failed,) = keep.news()
    assert (failed.outcome, failed.step) == ("failed", 2)
    assert "it could not be kept in memory" in str(failed.error)
    training.step()
    assert keep.save(3, wait=True).saved.ok  # type: ignore[union-attr]
