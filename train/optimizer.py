"""torch's AdamW without its slow start. It must add no arithmetic of its own."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn, optim

from train.config import OptimizerConfig


def _undecorated(method: Callable[..., Any]) -> Callable[..., Any]:
    return getattr(method, "__wrapped__", method)


class AdamW(optim.AdamW):
    """torch's AdamW, with the same arithmetic and state dict, that starts a second earlier.

    torch wraps these methods for torch.compile. The wrappers import `torch._dynamo` at the first
    call, which takes 1.0 to 1.6 s of each start. Only a compiled optimizer needs that. If a torch
    version has no wrappers, its methods are used as they are.
    """

    add_param_group = _undecorated(optim.Optimizer.add_param_group)
    state_dict = _undecorated(optim.Optimizer.state_dict)
    load_state_dict = _undecorated(optim.Optimizer.load_state_dict)
    zero_grad = _undecorated(optim.Optimizer.zero_grad)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Take one step. The gradients must be set before."""
        return _undecorated(optim.Adam.step)(self, closure)


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> AdamW:
    """One parameter group in the order of `model.parameters()`.

    Most training scripts save this layout, so that their optimizer.pt can be resumed.
    """
    return AdamW(
        (parameter for parameter in model.parameters() if parameter.requires_grad),
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
        weight_decay=config.weight_decay,
    )
