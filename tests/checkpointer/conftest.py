"""A checkpoint directory with memory of its own for snapshots, and states to save there."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from supervisor.torch import Checkpointer
from supervisor.torch.place import own_root


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The checkpoint directory of a trainer without a supervisor."""
    for name in [name for name in os.environ if name.startswith("SUPERVISOR_")]:
        monkeypatch.delenv(name)
    directory = tmp_path / "out"
    yield directory
    shutil.rmtree(own_root(directory)[0], ignore_errors=True)


@pytest.fixture
def memory(out: Path) -> Path:
    """The directory of its snapshots."""
    return own_root(out)[0]


@pytest.fixture
def make(out: Path) -> Iterator[Callable[..., Checkpointer]]:
    """Return a function that makes checkpointers; the fixture closes all of them."""
    made: list[Checkpointer] = []

    def make_one(sources: dict[str, Any], **options: Any) -> Checkpointer:
        made.append(Checkpointer(sources, directory=out, **options))
        return made[-1]

    yield make_one
    for one in made:
        one.close()


class Training:
    """A small model with its optimizer, which trains step by step."""

    def __init__(self, width: int = 16, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(width, width), torch.nn.BatchNorm1d(width), torch.nn.Linear(width, 1)
        )
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.01)
        self.width = width
        self.steps = 0

    @property
    def sources(self) -> dict[str, Any]:
        """The objects whose states make up a checkpoint."""
        return {"model.pt": self.model, "optimizer.pt": self.optimizer}

    def step(self) -> int:
        """Train one step, and return how many steps there were."""
        self.optimizer.param_groups[0]["lr"] = 0.01 / (1 + self.steps)
        self.model(torch.randn(8, self.width)).square().mean().backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.steps += 1
        return self.steps

    def state(self) -> dict[str, Any]:
        """Return a copy of the whole state."""
        return clone({name: source.state_dict() for name, source in self.sources.items()})


def clone(state: Any) -> Any:
    """Return a state that shares nothing with the given one."""
    if isinstance(state, torch.Tensor):
        return state.detach().clone()
    if isinstance(state, dict):
        return {key: clone(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(clone(value) for value in state)
    return state


def assert_same(one: Any, other: Any, where: str = "state") -> None:
    """Assert that two states are equal in types, shapes and bits."""
    if isinstance(one, torch.Tensor):
        assert isinstance(other, torch.Tensor), where
        assert (one.dtype, one.shape) == (other.dtype, other.shape), where
        # Bits are compared, so that NaN and -0.0 count, and 8-bit formats can be compared at all.
        left, right = (bits_of(tensor) for tensor in (one, other))
        assert torch.equal(left, right), where
    elif isinstance(one, dict):
        assert list(one) == list(other), where
        for key in one:
            assert_same(one[key], other[key], f"{where}[{key!r}]")
    elif isinstance(one, list | tuple):
        assert type(one) is type(other), where
        assert len(one) == len(other), where
        for index, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{where}[{index}]")
    else:
        assert (type(one), one) == (type(other), other), where


def bits_of(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor's bytes in the order of its items."""
    whole = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return whole.view(torch.uint8) if whole.numel() else torch.empty(0, dtype=torch.uint8)
