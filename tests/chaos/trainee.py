"""A real training run with torch, so small that it costs milliseconds.

A step depends only on its number and the state: a BatchNorm's buffers, AdamW's moments, a schedule
and the random numbers of a dropout.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from supervisor.torch import load

STEPS = 12
"""The number of steps of the run."""


class Trainee:
    """The run's live state; `step` counts the steps that were done."""

    def __init__(self, *, padding: int = 0) -> None:
        """`padding`: the number of further floats; each step changes them and their moments."""
        torch.manual_seed(2024)
        self.step = 0
        self.note: list[int] = []  # nothing depends on it
        self.model = nn.Sequential(
            nn.Linear(12, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.2), nn.Linear(24, 3)
        )
        if padding:
            self.model.register_parameter("padding", nn.Parameter(torch.randn(padding)))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=3e-3, foreach=True)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: 1.0 / (1 + step / 7)
        )

    @property
    def sources(self) -> dict[str, Any]:
        """The sources of a checkpoint, by file name."""
        return {
            "model.pt": self.model,
            "optimizer.pt": self.optimizer,
            "scheduler.pt": self.schedule,
            "random_state.pt": lambda: {"torch": torch.get_rng_state(), "note": self.note},
        }

    def train(self, until: int) -> None:
        """Do the steps up to that one."""
        while self.step < until:
            self.step += 1
            batch = torch.Generator().manual_seed(self.step)
            loss = self.model(torch.randn(8, 12, generator=batch)).square().mean()
            if hasattr(self.model, "padding"):
                loss = loss + self.model.padding.square().mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.schedule.step()

    def restore(self, path: Path) -> None:
        """Go back, or on, to the state of a checkpoint."""
        content = load(path)
        self.model.load_state_dict(content["model.pt"])
        self.optimizer.load_state_dict(content["optimizer.pt"])
        self.schedule.load_state_dict(content["scheduler.pt"])
        torch.set_rng_state(content["random_state.pt"]["torch"])
        self.step = content["training_state.json"]["global_step"]

    def digest(self) -> str:
        """A hash of every bit of the state."""
        state = hashlib.blake2b()
        for name, tensor in sorted(_tensors("model", self.model.state_dict())):
            state.update(name.encode() + tensor.numpy().tobytes())
        for name, tensor in sorted(_tensors("optimizer", self.optimizer.state_dict()["state"])):
            state.update(name.encode() + tensor.numpy().tobytes())
        state.update(repr(self.schedule.state_dict()["last_epoch"]).encode())
        state.update(torch.get_rng_state().numpy().tobytes())
        return state.hexdigest()


def _tensors(prefix: str, values: Mapping[Any, Any]) -> list[tuple[str, Tensor]]:
    found: list[tuple[str, Tensor]] = []
    for key, value in values.items():
        if isinstance(value, Tensor):
            found.append((f"{prefix}.{key}", value.detach().contiguous()))
        elif isinstance(value, Mapping):
            found += _tensors(f"{prefix}.{key}", value)
    return found


@cache
def uninterrupted(padding: int = 0, steps: int = STEPS) -> str:
    """The digest at the end of a run without a fault."""
    one = Trainee(padding=padding)
    one.train(steps)
    return one.digest()


def resumed(path: Path | None, padding: int = 0) -> str:
    """The digest at the end of a run that resumes from a checkpoint, or starts from nothing."""
    one = Trainee(padding=padding)
    if path is not None:
        one.restore(path)
    one.train(STEPS)
    return one.digest()
