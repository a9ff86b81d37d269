"""Adapter for Lightning Fabric: `fabric.save` and `fabric.load` as phases and a place.

A Fabric loop is the script's own. Fabric tells its callbacks of no save, so the methods are
wrapped. Its optimizers are torch's, whose steps `torch_loop` hears of.
"""

from __future__ import annotations

import sys

from .library_saves import LibrarySaves

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


def patch(module: ModuleType) -> None:
    """Wrap the methods of Fabric's class. Raises if this version does not fit."""
    package = module.__name__.partition(".")[0]

    def framework() -> str:
        return f"lightning {getattr(sys.modules.get(package), '__version__', '?')}, Fabric"

    saves = LibrarySaves("lightning", framework, _saved, lambda own: int(own.world_size))
    saves.wrap(module.Fabric, "save", "load")


def _saved(own: Any, result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Where it was told to save: a file, or a folder of several ranks' files."""
    return args[0] if args else kwargs.get("path")
