"""torch's AdamW without its slow start; it must compute nothing by itself."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn, optim

from train.config import OptimizerConfig


def _undecorated(method: Callable[..., Any]) -> Callable[..., Any]:
    return getattr(method, "__wrapped__", method)


class AdamW(optim.AdamW):
    """The same arithmetic and state dict, a second earlier.

    torch's methods are wrapped for torch.compile, and the wrappers import `torch._dynamo` at the
    first call: 1.0 to 1.6 s of each start, for nothing as long as the optimizer is not compiled.
    Where a torch version has no wrappers its methods are used as they are.
    """

    add_param_group = _undecorated(optim.Optimizer.add_param_group)
    state_dict = _undecorated(optim.Optimizer.state_dict)
    load_state_dict = _undecorated(optim.Optimizer.load_state_dict)
    zero_grad = _undecorated(optim.Optimizer.zero_grad)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Take one step; gradients must have been set."""
        return _undecorated(optim.Adam.step)(self, closure)


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> AdamW:
    """One parameter group in the order of `model.parameters()`.

    It is the layout that most training scripts save, so that their optimizer.pt can be resumed.
    """
    return AdamW(
        (parameter for parameter in model.parameters() if parameter.requires_grad),
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
        weight_decay=config.weight_decay,
    )
