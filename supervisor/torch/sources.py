"""Where a checkpoint's files come from: named objects that can tell their state."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

Source = Any
"""An object with `state_dict()`, a callable that returns a state, or a dict."""
EMA_FILE = "ema_model.pt"


class StateSources:
    """The named sources of one checkpoint. Raises TypeError for a source without a state."""

    def __init__(self, sources: Mapping[str, Source], weights: Collection[str] | None) -> None:
        """`weights`: files all of whose floats must be finite; of modules only the parameters."""
        for name, source in sources.items():
            if not name.endswith(".pt"):
                raise ValueError(f"{name!r}: the name of a state's file must end in .pt")
            if not (hasattr(source, "state_dict") or callable(source) or isinstance(source, dict)):
                raise TypeError(
                    f"{name}: a {type(source).__name__} has no state_dict() and cannot be called"
                )
        self._sources = dict(sources)
        self._weights = {EMA_FILE} if weights is None else set(weights)

    def collect(self) -> dict[str, Any]:
        """The present states, with their live tensors."""
        return {name: _state_of(source) for name, source in self._sources.items()}

    @property
    def optimizers(self) -> list[Optimizer]:
        """The optimizers among the sources."""
        return [one for one in self._sources.values() if isinstance(one, Optimizer)]

    @property
    def is_complete(self) -> bool:
        """Whether no optimizer waits for its first step to make its state."""
        return all(optimizer.state for optimizer in self.optimizers)

    def weight_test(self, name: str) -> Callable[[Tensor], bool]:
        """The test whether a tensor of this file must be finite for a run to resume from it."""
        parameters = getattr(self._sources[name], "parameters", None)
        if not callable(parameters) or isinstance(self._sources[name], Optimizer):
            is_all = name in self._weights
            return lambda _: is_all
        # a buffer may well hold -inf: a causal mask does
        places = {parameter.data_ptr() for parameter in parameters()}
        return lambda tensor: tensor.data_ptr() in places


def _state_of(source: Source) -> Any:
    if hasattr(source, "state_dict"):
        return source.state_dict()
    return source() if callable(source) else source


def live_tensors(optimizers: list[Optimizer]) -> Iterator[Tensor]:
    """The tensors that only an optimizer's step changes: its parameters, and its own state."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            yield from group["params"]
        for state in optimizer.state.values():
            yield from (value for value in state.values() if isinstance(value, Tensor))
