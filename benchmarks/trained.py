"""The training whose checkpoints are measured: a real model, AdamW and schedule, with real steps.

One step reads and writes all of the state, and is otherwise as short as possible. So the slow-down
of ten steps is visible beside a copy of the state.
"""

import itertools
import math
import mmap
import time
from typing import Any

import torch
from torch import Tensor, nn

from train.model import CharacterGPT

# Weight, first and second moment, in float32.
BYTES_PER_PARAMETER = 12
LAYERS = 8
HEADS = 8
BLOCK = 16
VOCABULARY = 256
ALIGNED_BYTES = 64


class Trained:
    """A GPT whose parameters and AdamW state have about `state_bytes` together."""

    def __init__(self, state_bytes: float, device: str) -> None:
        self.device = torch.device(device)
        # A transformer has about 12 · layers · width² parameters.
        width = math.sqrt(state_bytes / BYTES_PER_PARAMETER / (12 * LAYERS))
        torch.manual_seed(0)
        self.model: nn.Module = CharacterGPT(
            VOCABULARY, BLOCK, LAYERS, HEADS, max(HEADS, round(width / HEADS) * HEADS), 0.0
        ).to(self.device)
        # fused: the quickest step that torch has
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=True)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: 1.0 / (1.0 + 1e-3 * step)
        )
        self.step = 0
        self._tokens = torch.randint(VOCABULARY, (1, BLOCK + 1), device=self.device)

    def train(self, steps: int) -> list[float]:
        """Train so many steps; the duration of each in seconds."""
        durations = []
        for _ in range(steps):
            began = time.perf_counter()
            self.optimizer.zero_grad(set_to_none=False)
            loss = self.model(self._tokens[:, :-1], self._tokens[:, 1:])
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            if self.device.type == "cuda":
                # waits for this stream alone: a copy on another stream may go on
                torch.cuda.current_stream().synchronize()
            self.step += 1
            durations.append(time.perf_counter() - began)
        return durations

    def states(self) -> dict[str, Any]:
        """The content of a checkpoint; its tensors are the live ones."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def load(self, states: dict[str, Any]) -> None:
        """Load a state that was read."""
        self.model.load_state_dict(states["model"])
        self.optimizer.load_state_dict(states["optimizer"])
        self.schedule.load_state_dict(states["schedule"])

    def tensors(self) -> list[Tensor]:
        """All tensors of the state; no two share memory."""
        moments = (value for state in self.optimizer.state.values() for value in state.values())
        return [*self.model.state_dict().values(), *moments]


class Memcpy:
    """The unit of a stall: `copy_` of the same state into memory that was touched before."""

    def __init__(self, sources: list[Tensor]) -> None:
        self._sources = sources
        self.bytes = sum(one.nbytes for one in sources)
        ends = list(itertools.accumulate(-(-one.nbytes // ALIGNED_BYTES) for one in sources))
        starts = [0, *ends[:-1]]
        size = ends[-1] * ALIGNED_BYTES
        if any(one.is_cuda for one in sources):
            # page-locked, because that is the fast way to copy from a device
            memory = torch.zeros(size, dtype=torch.uint8, pin_memory=True)
        else:
            # a mapping of its own: malloc would keep a part of the memory after the measurement
            memory = torch.frombuffer(mmap.mmap(-1, size), dtype=torch.uint8).zero_()
        self._targets = [
            memory[start * ALIGNED_BYTES :][: one.nbytes].view(one.dtype).view(one.shape)
            for start, one in zip(starts, sources, strict=True)
        ]

    @torch.no_grad()
    def seconds(self) -> float:
        """Copy once; the seconds it took."""
        began = time.perf_counter()
        for target, source in zip(self._targets, self._sources, strict=True):
            target.copy_(source)
        return time.perf_counter() - began
