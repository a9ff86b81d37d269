"""The callbacks that Lightning's entry points give: none without a supervisor.

Lightning logs a line for each entry point that gives one. So where its loader of them can be
wrapped, the callback comes from there, in the same place and without a line.
"""

from __future__ import annotations

import functools
import os
import sys

from . import hook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


# The packages of Lightning whose loader is wrapped.
_wrapped: set[str] = set()
_LOADER = "_load_external_callbacks"


def wrap_loader(root: str) -> None:
    """Have new Trainers get the callback after those of entry points. Raises nothing."""
    module = sys.modules.get(f"{root}.trainer.connectors.callback_connector")
    original = getattr(module, _LOADER, None)
    if original is None or root in _wrapped:
        return

    @functools.wraps(original)
    def load(*args: Any, **kwargs: Any) -> Any:
        found = original(*args, **kwargs)
        try:
            is_there = any(getattr(one, "is_of_train_supervisor", False) for one in found)
            return found if is_there else [*found, *_made()]
        except Exception as error:
            hook.tell(f"the adapter for lightning is off: {type(error).__name__}: {error}")
            return found

    setattr(module, _LOADER, load)
    _wrapped.add(root)


def callbacks() -> list[Any]:
    """Return the callback for a new Trainer; none where the wrapped loader brings it."""
    if not _is_wanted():
        return []
    from .lightning import make_callback, patched_roots

    return [] if _wrapped.issuperset(patched_roots()) else [make_callback()]


def _made() -> list[Any]:
    if not _is_wanted():
        return []
    from .lightning import make_callback, patched_roots

    return [make_callback()] if patched_roots() else []


def _is_wanted() -> bool:
    return bool(os.environ.get("SUPERVISOR_HEARTBEAT")) and hook.is_wanted("lightning")


def fabric_callbacks() -> list[Any]:
    """Return none: Fabric tells callbacks of optimizer steps alone, and torch tells of those.

    `lightning_fabric` wraps its saves and loads.
    """
    return []
