"""The loss on the validation set. It must not change training or its random numbers."""

from collections.abc import Callable
from typing import Any

import torch
from torch.func import functional_call

from supervisor.worker import Worker
from train import randomness
from train.errors import StopRequested
from train.state import TrainingState

Forward = Callable[[Any, Any], torch.Tensor]


def evaluate(state: TrainingState, batches: Any, forward: Forward, run: Worker) -> float | None:
    """Mean loss over batches, with the EMA weights if there are any; None without batches.

    `forward(model, batch)` computes a loss. Raises StopRequested as soon as a stop was requested:
    an evaluation can take long, and can be repeated after the resume.
    """
    modes = {module: module.training for module in state.model.modules()}
    model: Any = state.model
    if state.ema is not None:
        weights = {name: state.ema.weights[key] for name, key in state.ema.names.items()}

        def model(*args: Any, **kwargs: Any) -> Any:
            return functional_call(state.model, weights, args, kwargs)

    losses: list[torch.Tensor] = []
    with randomness.kept(), torch.no_grad():
        state.model.eval()
        try:
            for batch in batches:
                if run.should_stop:
                    raise StopRequested
                losses.append(forward(model, batch))
        finally:
            for module, was_training in modes.items():
                module.training = was_training
    return float(torch.stack(losses).mean()) if losses else None
