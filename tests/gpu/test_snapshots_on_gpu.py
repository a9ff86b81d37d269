"""Snapshots of a state on a GPU: equal bits with copies in flight, and a small stall."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from supervisor.memory.slots import read_whole
from supervisor.torch import Checkpointer, load
from supervisor.torch.place import own_root
from tests.checkpointer.conftest import assert_same, clone

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
WIDTH = 1024


class Training:
    """A model with BatchNorm, its optimizer, an average and a scaler, all on the device."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        layers: list[torch.nn.Module] = []
        for _ in range(8):
            layers += [torch.nn.Linear(WIDTH, WIDTH), torch.nn.BatchNorm1d(WIDTH)]
        self.model = torch.nn.Sequential(*layers, torch.nn.Dropout(0.1)).cuda()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.01, fused=True)
        self.average = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.scaler = torch.amp.GradScaler("cuda")

    @property
    def sources(self) -> dict[str, Any]:
        return {
            "model.pt": self.model,
            "optimizer.pt": self.optimizer,
            "ema_model.pt": self.average,
            "scaler.pt": self.scaler,
            "random_state.pt": lambda: {"cuda": torch.cuda.get_rng_state_all()},
        }

    def step(self) -> None:
        """Do one step and update the average, without waiting for the device."""
        with torch.autocast("cuda", dtype=torch.float16):
            loss = self.model(torch.randn(256, WIDTH, device="cuda")).square().mean()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 0.1)

    def state(self) -> dict[str, Any]:
        """A copy of the whole state, on the host."""
        found = {}
        for name, source in self.sources.items():
            state = source.state_dict() if hasattr(source, "state_dict") else source
            found[name] = clone(state() if callable(state) else state)
        return found


def on_host(state: Any) -> Any:
    """The same state on the CPU."""
    if isinstance(state, torch.Tensor):
        return state.cpu()
    if isinstance(state, dict):
        return {key: on_host(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(on_host(value) for value in state)
    return state


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The checkpoint directory."""
    return tmp_path / "out"


@pytest.fixture
def make(out: Path) -> Iterator[Callable[..., Checkpointer]]:
    """Makes checkpointers, and closes them all at the end."""
    made: list[Checkpointer] = []

    def make_one(sources: dict[str, Any], **options: Any) -> Checkpointer:
        made.append(Checkpointer(sources, directory=out, **options))
        return made[-1]

    yield make_one
    for one in made:
        one.close()


def first(keep: Checkpointer, training: Training) -> None:
    """Wait until the memory is pinned and has a first snapshot."""
    training.step()
    while not keep.snapshot(1).ok:
        time.sleep(0.01)
    while not keep.snapshot(1).ok:
        time.sleep(0.01)
    keep.wait_for_copies()


@pytest.mark.timeout(400)
def test_equal_bits_with_copies_in_flight(make: Callable[..., Checkpointer], out: Path) -> None:
    """The next steps are queued right behind the snapshot; its content is still of its own step."""
    training = Training()
    keep = make(training.sources, snapshot_steps=0)
    first(keep, training)
    for step in range(2, 12):
        training.step()
        before = training.state()
        while not keep.snapshot(step).ok:
            time.sleep(0.01)
        for _ in range(3):
            training.step()
        keep.wait_for_copies()
        found = load(read_whole(own_root(out)[0])[0].path)
        assert found.pop("training_state.json")["global_step"] == step
        assert_same(found, on_host(before))
    assert keep.rebuilds <= 2
    before = training.state()
    assert keep.save(99, wait=True).saved.ok  # type: ignore[union-attr]
    found = load(out / "checkpoint-99")
    del found["training_state.json"]
    assert_same(found, on_host(before))


@pytest.mark.timeout(400)
def test_the_memory_is_pinned(make: Callable[..., Checkpointer]) -> None:
    """Copies run beside the host: a snapshot returns long before a plain copy would."""
    training = Training()
    keep = make(training.sources, snapshot_steps=0)
    first(keep, training)
    tensors = list(training.model.state_dict().values())
    tensors += [v for s in training.optimizer.state.values() for v in s.values()]
    targets = [torch.empty_like(tensor, device="cpu") for tensor in tensors]
    training.step()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for target, tensor in zip(targets, tensors, strict=True):
        target.copy_(tensor)
    plain_s = time.perf_counter() - began
    stalls = []
    for step in range(2, 8):
        training.step()
        torch.cuda.synchronize()
        taken = keep.snapshot(step)
        assert taken.ok
        stalls.append(taken.stall_s)
        keep.wait_for_copies()
    assert min(stalls) < plain_s / 2
