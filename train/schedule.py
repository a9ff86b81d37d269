"""The learning rate at each step, as a function of the step. It owns no optimizer state."""

import math
from typing import Any

from torch.optim import Optimizer

from train.config import ScheduleConfig


class WarmupCosine:
    """Linear warm-up, then a cosine. Its state is its position, under torch's names.

    torch's schedulers call the position `last_epoch`, so a `scheduler.pt` of any of them can be
    resumed. Peak and length come from the present config, so that a changed config takes effect.
    """

    def __init__(self, config: ScheduleConfig, peak: float, total_steps: int) -> None:
        self.peak = peak
        self.warmup_steps = config.warmup_steps
        self.total_steps = config.total_steps or total_steps
        self.final_ratio = config.final_ratio
        self.position = 0

    def learning_rate(self) -> float:
        """The rate of the next optimizer step."""
        step = self.position
        if step < self.warmup_steps:
            return self.peak * (step + 1) / self.warmup_steps
        decay_steps = max(1, self.total_steps - self.warmup_steps)
        done = min(1.0, (step - self.warmup_steps) / decay_steps)
        ratio = self.final_ratio + (1 - self.final_ratio) * 0.5 * (1 + math.cos(math.pi * done))
        return self.peak * ratio

    def apply(self, optimizer: Optimizer) -> float:
        """Set the rate for the next step, and return it."""
        rate = self.learning_rate()
        for group in optimizer.param_groups:
            group["lr"] = rate
        return rate

    def advance(self) -> None:
        """Move to the next position, after an optimizer step."""
        self.position += 1

    def state_dict(self) -> dict[str, Any]:
        """Position and peak, readable with `weights_only=True`."""
        return {"last_epoch": self.position, "base_lrs": [self.peak]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the position. Raises KeyError, TypeError or ValueError if there is none."""
        position = int(state["last_epoch"])
        if position < 0:
            raise ValueError(f"last_epoch is {position}")
        self.position = position
