"""What a batch may be, and how a model is called on it. No other module knows its shape."""

from typing import Any

import torch
from torch import Tensor


def move_batch(batch: Any, device: torch.device) -> Any:
    """The same batch with its tensors on a device. Values other than tensors stay as they are."""
    match batch:
        case Tensor():
            return batch.to(device, non_blocking=True)
        case dict():
            return {name: move_batch(value, device) for name, value in batch.items()}
        case list() | tuple():
            return [move_batch(value, device) for value in batch]
        case _:
            return batch


def count_tokens(batch: Any) -> int:
    """The number of elements in the first tensor of a batch; 0 without one."""
    match batch:
        case Tensor():
            return batch.numel()
        case dict():
            parts = list(batch.values())
        case list() | tuple():
            parts = list(batch)
        case _:
            parts = []
    return next((part.numel() for part in parts if isinstance(part, Tensor)), 0)


def loss_on(model: Any, batch: Any) -> Tensor:
    """The loss of a batch. A mapping becomes keyword arguments, a sequence positional ones.

    Raises TypeError if the model returns no loss.
    """
    match batch:
        case dict():
            return _loss_of(model(**batch))
        case list() | tuple():
            return _loss_of(model(*batch))
        case _:
            return _loss_of(model(batch))


def _loss_of(output: Any) -> Tensor:
    """Find the loss in what a model returned: itself, `.loss`, `["loss"]`, or the first item."""
    if isinstance(output, dict):
        output = output.get("loss")
    elif hasattr(output, "loss"):
        output = output.loss
    elif isinstance(output, tuple) and output:
        output = output[0]
    if not isinstance(output, Tensor) or output.numel() != 1:
        raise TypeError(f"the model must return a scalar loss, got {type(output).__name__}")
    return output.reshape(())
