"""Copying a state into a slot: at once on the host; from a device, while the next step runs.

Tensors that only an optimizer's step changes are read from the device while forward and backward
run. All others (buffers, averages, a scaler) may change there, so the device clones them first.
"""

import itertools
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from supervisor.torch.host import HostCopier
from supervisor.torch.inflight import Copying, InFlight
from supervisor.torch.sources import live_tensors

Pairs = list[tuple[Tensor, Tensor]]
"""Views of a slot's memory, each with what is to be copied there."""


class Streams(Protocol):
    """A device's queues, as far as they are needed here."""

    def takes(self, sources: Sequence[Tensor]) -> list[bool]:
        """For each tensor, whether these queues copy it."""

    def copy(self, pairs: Pairs) -> Copying:
        """Begin to copy, after all work that the device was given so far."""


class Copier:
    """Copies sources into views; returns the copies still under way, None if all are done."""

    def __init__(self, optimizers: list[Optimizer], streams: Streams | None = None) -> None:
        self._optimizers = optimizers
        self._streams = CudaStreams() if streams is None else streams
        self._host = HostCopier()
        self._is_patient = False

    @torch.no_grad()
    def __call__(self, views: Sequence[Tensor], sources: Sequence[Tensor]) -> InFlight | None:
        """Begin to copy. Once this returns, sources may change, but for the optimizers' own."""
        taken = self._streams.takes(sources)
        if not any(taken):
            self._host(views, sources)
            return None
        pairs = list(zip(views, sources, strict=True))
        unchanging, live = self._unchanging(list(itertools.compress(pairs, taken)))
        copying = self._streams.copy(unchanging)
        try:
            on_host = [pair for pair, is_taken in zip(pairs, taken, strict=True) if not is_taken]
            self._host([view for view, _ in on_host], [source for _, source in on_host])
            copies = InFlight(copying, live)
        except BaseException:
            copying.wait()  # that memory must not be used while the device writes there
            raise
        if self._is_patient:
            copying.wait()
            return None
        return copies

    def be_patient(self) -> None:
        """From now on wait for all copies: the weights change outside of the optimizers."""
        self._is_patient = True

    def _unchanging(self, pairs: Pairs) -> tuple[Pairs, list[Tensor]]:
        """The pairs, with clones of sources that may change; and the tensors that are not cloned.

        The latter are the optimizers' own. A forward pass does not change them, and they count
        their changes.
        """
        owned = {_place(tensor): tensor for tensor in live_tensors(self._optimizers)}
        kept: Pairs = []
        live: list[Tensor] = []
        for view, source in pairs:
            own = owned.get(_place(source))
            if own is not None:
                kept.append((view, source))
                live.append(own)
                continue
            try:
                kept.append((view, source.clone()))
            except torch.OutOfMemoryError:
                view.copy_(source)  # the device has no room for a clone: wait for this copy
        return kept, live


def _place(tensor: Tensor) -> tuple[int, int]:
    return tensor.data_ptr(), tensor.nbytes


class CudaStreams:
    """A side stream for each CUDA device."""

    def __init__(self) -> None:
        self._streams: dict[torch.device, torch.cuda.Stream] = {}

    def takes(self, sources: Sequence[Tensor]) -> list[bool]:
        """For each, whether it is on a CUDA device."""
        return [source.is_cuda for source in sources]

    def copy(self, pairs: Pairs) -> Copying:
        """Begin the copies, behind what the devices' current streams have to do."""
        events: dict[torch.device, torch.cuda.Event] = {}
        for device in {source.device for _, source in pairs}:
            here = [pair for pair in pairs if pair[1].device == device]
            if device not in self._streams:
                self._streams[device] = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            stream = self._streams[device]
            stream.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(stream):
                torch._foreach_copy_(
                    [view for view, _ in here], [source for _, source in here], non_blocking=True
                )
                # blocking: a thread that waits for it sleeps instead of spinning
                event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
                event.record(stream)
            events[device] = event
        return _CudaCopying(events, pairs)


class _CudaCopying:
    """Copies on side streams; it keeps the clones alive until they were read."""

    def __init__(self, events: dict[torch.device, torch.cuda.Event], pairs: Pairs) -> None:
        self._events = events
        self._pairs = pairs

    def hold(self) -> None:
        for device, event in self._events.items():
            torch.cuda.current_stream(device).wait_event(event)

    def wait(self) -> None:
        for event in self._events.values():
            event.synchronize()
        self._pairs = []


def pin(memory: Tensor) -> bool:
    """Let devices copy straight into memory that is mapped already; False if they cannot."""
    if not torch.cuda.is_available():
        return False
    portable = 1
    result = _runtime().cudaHostRegister(memory.data_ptr(), memory.numel(), portable)
    return int(result) == 0


def unpin(memory: Tensor) -> None:
    """Undo `pin`, before the memory goes."""
    _runtime().cudaHostUnregister(memory.data_ptr())


def _runtime() -> Any:
    return torch.cuda.cudart()  # type: ignore[no-untyped-call]
