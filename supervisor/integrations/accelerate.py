"""Adapter for loops that use accelerate: `save_state` and `load_state` as phases and a place.

It saves nothing by itself. HF's Trainer uses accelerate inside; there its own adapter speaks.
"""

from __future__ import annotations

import sys

from .library_saves import LibrarySaves

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


def patch(module: ModuleType) -> None:
    """Wrap the methods of `accelerate.accelerator`. Raises if this version does not fit."""
    saves = LibrarySaves("accelerate", _framework, _saved, lambda own: int(own.num_processes))
    saves.wrap(module.Accelerator, "save_state", "load_state")


def _framework() -> str:
    return f"accelerate {getattr(sys.modules.get('accelerate'), '__version__', '?')}"


def _saved(own: Any, result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The folder that `save_state` returns; older versions return nothing."""
    if result is not None:
        return result
    if own.project_configuration.automatic_checkpoint_naming:
        return f"{own.project_dir}/checkpoints/checkpoint_{own.save_iteration - 1}"
    return args[0] if args else kwargs.get("output_dir")
