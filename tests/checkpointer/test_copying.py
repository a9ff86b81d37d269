"""Copies under way while training goes on: no later value gets into a snapshot."""

from collections.abc import Callable
from pathlib import Path

import torch

from supervisor.memory.seal import SlotState
from supervisor.memory.slots import read_whole
from supervisor.torch import Checkpointer, load
from supervisor.torch.copying import Copier
from tests.checkpointer.conftest import Training, assert_same
from tests.checkpointer.late import LateStreams, begin, ready, seals

Make = Callable[..., Checkpointer]


def test_copies_in_flight_are_of_their_step(make: Make, memory: Path) -> None:
    """The next forward changes BatchNorm's buffers and a step the weights: neither gets in."""
    training, streams, keep = begin(make)
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
    # The snapshot is not whole before the copies are known to be done.
    assert seals(memory).count(SlotState.WHOLE) == 1
    streams.gate.set()
    keep.wait_for_copies()
    assert seals(memory).count(SlotState.WHOLE) == 2
    found = load(read_whole(memory)[0].path)
    assert found["training_state.json"]["global_step"] == 2
    assert_same({name: found[name] for name in training.sources}, before)


def test_every_optimizer_waits(make: Make) -> None:
    """An optimizer that is no source waits too: a wrapper, or a second one of the model."""
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
    """Of two snapshots in a row, the first is sealed before the second begins."""
    training, streams, keep = begin(make)
    keep.snapshot(2)
    streams.gate.set()
    training.step()
    while not keep.snapshot(3).ok:
        pass
    keep.wait_for_copies()
    assert [whole.snapshot.step for whole in read_whole(memory)] == [3, 2]


def test_a_save_that_is_waited_for_waits_for_the_copies(make: Make, out: Path) -> None:
    """The saved state is that of the save's step."""
    training, streams, keep = begin(make)
    streams.gate.set()
    training.step()
    assert keep.save(2, wait=True).saved.ok  # type: ignore[union-attr]
    found = load(out / "checkpoint-2")
    assert_same({name: found[name] for name in training.sources}, training.state())


def test_only_what_an_optimizer_changes_is_read_late() -> None:
    """Parameters and moments are read late; buffers, averages and frozen weights are cloned."""
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
