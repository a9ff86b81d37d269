"""A stand-in for a device: its copies are made only when somebody waits for them."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from supervisor.memory.seal import SlotState, read_seal
from supervisor.memory.slots import SnapshotPaths, read_whole
from supervisor.memory.snapshot_proof import read_verdict
from supervisor.torch import Checkpointer
from supervisor.torch.copying import Pairs
from supervisor.torch.inflight import Copying
from tests.checkpointer.conftest import Training


class LateCopying:
    """Copies that the device has not made yet."""

    def __init__(self, pairs: Pairs, gate: threading.Event) -> None:
        self.pairs = pairs
        self._gate = gate
        self._lock = threading.Lock()
        self.held = 0

    def hold(self) -> None:
        """Make the copies, as a device's queue does before a command that comes later."""
        self.held += 1
        self._copy()

    def wait(self) -> None:
        """Make the copies for the thread that seals, once the test opens the gate."""
        self._gate.wait(90)
        self._copy()

    def _copy(self) -> None:
        with self._lock, torch.no_grad():
            for view, source in self.pairs:
                view.copy_(source)
            self.pairs = []


class LateStreams:
    """A device that holds all tensors except 0-d ones, such as counters."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.begun: list[LateCopying] = []

    def takes(self, sources: Sequence[torch.Tensor]) -> list[bool]:
        """Say which tensors the device holds: weights, moments and buffers, as on a GPU."""
        return [source.dim() > 0 for source in sources]

    def copy(self, pairs: Pairs) -> Copying:
        """Note the copies, and make none."""
        self.begun.append(LateCopying(pairs, self.gate))
        return self.begun[-1]


def seals(memory: Path) -> list[SlotState]:
    """The states of both slots' seals."""
    return [read_seal(slot.seal).state for slot in SnapshotPaths(memory).slots]


def ready(keep: Checkpointer, training: Training, streams: LateStreams) -> None:
    """Take a first snapshot into new memory, and wait until the persister is idle and pins no slot.

    While the persister looks at one slot, the next snapshot goes into the other.
    """
    training.step()
    streams.gate.set()
    while not keep.snapshot(training.steps).ok:
        pass
    keep.wait_for_copies()
    until = time.monotonic() + 90
    while not any(map(read_verdict, read_whole(keep._persisting.root))):
        assert time.monotonic() < until, "the persister has not looked at the snapshot"
        time.sleep(0.005)
    streams.gate.clear()
    streams.begun.clear()


def begin(make: Callable[..., Checkpointer]) -> tuple[Training, LateStreams, Checkpointer]:
    """A training on a late device, with a first snapshot in its memory."""
    training, streams = Training(), LateStreams()
    keep = make(training.sources, streams=streams, snapshot_steps=0)
    ready(keep, training, streams)
    return training, streams, keep
