"""The import of a library that has an adapter, followed until the adapter's `patch(module)`.

The module, its spec and its loader are as without it, for the program and for other import hooks.
"""

from __future__ import annotations

import sys
from typing import Any

from . import hook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType, ModuleType

# The files of adapters that have more than one, or another name than the library.
_FILES = {
    "torch.optim.optimizer": "torch_loop",
    "lightning.fabric.fabric": "lightning_fabric",
    "lightning_fabric.fabric": "lightning_fabric",
    "wandb": "wandb_init",
}
_IMPORTS = ("_find_and_load_unlocked", "reload")


def adapter(name: str) -> ModuleType | None:
    """Return a module of this folder; None if it does not exist. Raises what its import raises."""
    whole = f"{__package__}.{name}"
    try:
        __import__(whole)
    except ModuleNotFoundError as error:
        if error.name != whole:
            raise
        return None
    return sys.modules[whole]


def is_import(frame: FrameType | None) -> bool:
    """Whether a module is imported or reloaded now, and not only looked for."""
    while frame is not None:
        code = frame.f_code
        if code.co_name == "_find_spec" and code.co_filename.startswith("<frozen importlib"):
            return frame.f_back is not None and frame.f_back.f_code.co_name in _IMPORTS
        frame = frame.f_back
    return False


def found(
    own: hook.LibraryFinder, name: str, path: Sequence[str] | None, target: ModuleType | None
) -> Any:
    """Return what the finders after this one find, followed. Their exceptions pass unchanged."""
    after = False
    for finder in list(sys.meta_path):
        find = getattr(finder, "find_spec", None) if after else None
        if find is not None and (spec := find(name, path, target)) is not None:
            try:
                _follow(spec, name)
            except Exception as error:
                why = f"{type(error).__name__}: {error}"
                hook.tell(f"the import of {name} cannot be followed: {why}")
            return spec
        after = after or finder is own
    return None


def _follow(spec: Any, name: str) -> None:
    """Have the module patched when its loader has run it. The loader stays the module's own.

    Until then the loader's object has an attribute more. Its class, which other import hooks ask
    for, does not change.
    """
    loader = spec.loader
    if loader is None:
        return
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        if getattr(module, "__name__", None) != name:  # one loader may have many modules (zip)
            execute(module)
            return
        loader.__dict__.pop("exec_module", None)
        try:
            execute(module)
        except BaseException as error:
            if error.__traceback__ is not None:
                # From Python 3.11 on, the user's traceback has no frame of this file.
                error.__traceback__ = error.__traceback__.tb_next
            raise
        _patch(name, sys.modules.get(name, module))

    loader.exec_module = exec_module


def patch_if_loaded(name: str, module: ModuleType) -> None:
    """Patch a module that was imported before the hook began."""
    if not getattr(getattr(module, "__spec__", None), "_initializing", False):
        _patch(name, module)


def _patch(name: str, module: ModuleType) -> None:
    """Do what is to be done once a module is imported. Never raises."""
    which = hook.ADAPTED.get(name)
    try:
        if which is None:
            _share_the_worker(module)
        elif hook.is_wanted(which) and (found := adapter(_FILES.get(name, which))) is not None:
            found.patch(module)
    except Exception as error:
        hook.tell(f"the adapter for {which or name} is off: {type(error).__name__}: {error}")


def _share_the_worker(module: ModuleType) -> None:
    """Give the script's `supervisor.worker` the worker of the adapters, if they have attached."""
    own = getattr(sys.modules.get(f"{hook.PACKAGE}.worker.rank"), "_worker", None)
    if own is not None and hasattr(module, "attach") and vars(module).get("_worker", own) is None:
        module._worker = own  # type: ignore[attr-defined]
