"""An exponential moving average of the weights. It must never share memory with the model."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from train.model import canonical


class EMA:
    """Averages of all floating-point weights and buffers. Other buffers are copied."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._live: list[Tensor] = []
        self._average: list[Tensor] = []
        self._trained: list[Tensor] = []
        self.weights: dict[str, Tensor] = {}
        # maps the model's own name of each weight to the average's name: torch.compile prefixes
        # names
        self.names: dict[str, str] = {}
        clones: dict[tuple[int, torch.Size], Tensor] = {}
        for name, tensor in model.state_dict(keep_vars=True).items():
            # tied weights stay tied: both names share one average, which is updated once
            place = (tensor.data_ptr(), tensor.shape)
            if place not in clones:
                clones[place] = tensor.detach().clone()
                self._live.append(tensor)
                self._average.append(clones[place])
                if isinstance(tensor, nn.Parameter):
                    self._trained.append(clones[place])
            self.names[name] = canonical(name)
            self.weights[canonical(name)] = clones[place]

    def state_dict(self) -> dict[str, Tensor]:
        """The averages under the names of a checkpoint."""
        return self.weights

    def parameters(self) -> Iterator[Tensor]:
        """The averages of the trained parameters: these must be finite."""
        return iter(self._trained)

    @torch.no_grad()
    def update(self) -> None:
        """Move the averages towards the present weights."""
        averages = [pair for pair in self._pairs() if pair[0].is_floating_point()]
        torch._foreach_lerp_(
            [average for average, _ in averages],
            [live for _, live in averages],
            1 - self.decay,
        )
        for average, live in self._pairs():
            if not average.is_floating_point():
                average.copy_(live)

    @torch.no_grad()
    def restart(self) -> None:
        """Set the averages to the present weights."""
        for average, live in self._pairs():
            average.copy_(live)

    @torch.no_grad()
    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Copy in checked weights: their names are canonical and their shapes fit."""
        for name, tensor in weights.items():
            self.weights[name].copy_(tensor)

    def _pairs(self) -> list[tuple[Tensor, Tensor]]:
        return list(zip(self._average, self._live, strict=True))
