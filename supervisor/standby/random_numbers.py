"""Whether imports change random generators that a program may seed before them in a cold launch."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class RandomNumbers:
    """The generators that the whole process shares, with their state when first seen."""

    def __init__(self) -> None:
        self._first: dict[str, object] = {}
        # `random` seeds itself by chance when it is imported: its state is known from then on.
        __import__("random")
        self.look()

    def look(self) -> None:
        """Note new generators. Called at each import, so before a package can draw from one."""
        for name, read in _READERS.items():
            if name not in self._first and (found := read()) is not None:
                self._first[name] = found

    def drawn(self) -> str | None:
        """Return the name of a generator whose state has changed, None for none."""
        for name, first in self._first.items():
            if _READERS[name]() != first:
                return name
        return None


def _python() -> object:
    return sys.modules["random"].getstate()


def _numpy() -> object:
    """The state behind numpy.random.seed(), as text."""
    module = sys.modules.get("numpy.random.mtrand")
    generator = getattr(module, "_rand", None)
    if generator is None:
        return None
    state = generator.get_state(legacy=False)
    inner = state["state"]
    return (str(inner["key"].tobytes()), inner["pos"], state["has_gauss"], state["gauss"])


def _torch() -> object:
    module = sys.modules.get("torch")
    generator = getattr(module, "default_generator", None)
    spec = getattr(module, "__spec__", None)
    if generator is None or getattr(spec, "_initializing", False):
        return None
    return generator.get_state().numpy().tobytes()


_READERS: dict[str, Callable[[], object]] = {"random": _python, "numpy": _numpy, "torch": _torch}
