"""A device that is stood in for: its copies are made only when somebody waits for them."""

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
        self._gate.wait(90)
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
    """The memory is there, and a first snapshot in it; the persister is at rest, and pins no slot.

    While it looks at one slot the next snapshot goes into the other.
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
    """A training whose memory is there, with a first snapshot in it, on such a device."""
    training, streams = Training(), LateStreams()
    keep = make(training.sources, streams=streams, snapshot_steps=0)
    ready(keep, training, streams)
    return training, streams, keep
