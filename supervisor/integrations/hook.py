"""What stays in a trainer from its start on: a finder that hears of a library's import.

Python may have to compile this file at each start, so it is short, and it imports nothing that
Python has not loaded before a program begins. No error of it reaches the program.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from importlib.metadata import Distribution
    from types import ModuleType
    from typing import Any

PACKAGE = "_train_supervisor"
# The module of a library, and the adapter whose `patch(module)` is called once it is imported.
ADAPTED = {
    "transformers.trainer": "huggingface",
    "lightning.pytorch.trainer.trainer": "lightning",
    "lightning.pytorch.trainer.connectors.signal_connector": "lightning",
    "pytorch_lightning.trainer.trainer": "lightning",
    "pytorch_lightning.trainer.connectors.signal_connector": "lightning",
    "lightning.fabric.fabric": "lightning",
    "lightning_fabric.fabric": "lightning",
    "accelerate.accelerator": "accelerate",
    "torch.optim.optimizer": "torch",
    "wandb": "wandb",
}
# The script's own `supervisor.worker`: it and the adapters share one page.
SCRIPTS_WORKER = "supervisor.worker.rank"
_HEARD = frozenset((PACKAGE, SCRIPTS_WORKER, *ADAPTED))
_MOST_REMARKS = 20

_remarks: "list[str]" = []
_listeners: "list[Callable[[str], None]]" = []


def begin(package: "ModuleType") -> None:
    """Put the finder before all others, and patch what is imported already."""
    finder = LibraryFinder(list(package.__path__))
    package.__spec__ = finder.find_spec(PACKAGE)
    sys.meta_path.insert(0, finder)
    for name in _HEARD:
        module = sys.modules.get(name)
        if module is not None and module is not package:
            _beside("following").patch_if_loaded(name, module)


def is_wanted(adapter: str) -> bool:
    """Whether the configuration wants this adapter (`integrate`)."""
    wanted = os.environ.get("SUPERVISOR_INTEGRATE", "auto")
    names = wanted.split(",")
    # A stop that waited for a save of accelerate or Fabric ends the process at its next step.
    is_needed = adapter == "torch" and ("accelerate" in names or "lightning" in names)
    return wanted == "auto" or adapter in names or is_needed


def tell(sentence: str) -> None:
    """Tell the user: by the training that listens, else by a description of this process."""
    if sentence in _remarks or len(_remarks) >= _MOST_REMARKS:
        return
    _remarks.append(sentence)
    try:
        for listener in _listeners:
            listener(sentence)
        if not _listeners:
            from . import telling

            telling.tell_alone(sentence)
    except Exception as error:
        _remarks.append(f"{type(error).__name__}: {error}")  # no training may end by a remark


def listen(listener: "Callable[[str], None]") -> None:
    """Have all remarks passed on, those of before too."""
    _listeners[:] = [listener]
    for sentence in _remarks:
        listener(sentence)


class LibraryFinder:
    """A finder in `sys.meta_path` that leaves all modules but the private package to the others."""

    __slots__ = ("_path",)

    def __init__(self, path: "list[str]") -> None:
        """`path`: the `__path__` of the private package."""
        self._path = path

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "Any":
        """Return None, or what the finders after this one return for a library with an adapter."""
        if name not in _HEARD:
            return None
        if name == PACKAGE:
            spec = type(sys.__spec__)(PACKAGE, None, is_package=True)
            spec.submodule_search_locations = self._path
            return spec
        try:
            following = _beside("following")
            is_import = following.is_import(sys._getframe(1))
        except Exception as error:
            tell(f"the import of {name} cannot be followed: {type(error).__name__}: {error}")
            return None
        # Otherwise the program only asks, by importlib.util.find_spec.
        return following.found(self, name, path, target) if is_import else None

    def find_distributions(self, context: "Any" = None) -> "Iterator[Distribution]":
        """Offer the entry points for Lightning to a search for entry points."""
        try:
            offered: Iterator[Distribution] = _beside("entry_points").offered(
                self._path[0], context
            )
        except Exception as error:
            tell(f"the entry points cannot be offered: {type(error).__name__}: {error}")
            return iter(())
        return offered


def _beside(name: str) -> "Any":
    """Return a module of this folder that itself imports this one; most processes need none."""
    whole = f"{__package__}.{name}"
    __import__(whole)
    return sys.modules[whole]
