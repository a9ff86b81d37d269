"""Gives new Trainers of Lightning the adapter's callback, in its loader of external callbacks.

Lightning logs a line for each entry point that gives a callback. Behind the loader the callback
stands in the same place, without a line.
"""

from __future__ import annotations

import functools
import os
import sys

from . import hook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_LOADER = "_load_external_callbacks"

# The packages of Lightning whose loader is wrapped.
wrapped: set[str] = set()


def is_wanted() -> bool:
    """Whether a supervisor wants the adapter in this process."""
    return bool(os.environ.get("SUPERVISOR_HEARTBEAT")) and hook.is_wanted("lightning")


def wrap_loader(
    root: str, make_callback: Callable[[], Any], patched_roots: Callable[[], list[str]]
) -> None:
    """Have new Trainers get a callback after those of entry points. Raises nothing.

    `patched_roots`: the packages of Lightning whose version fits; without one there is none.
    """
    module = sys.modules.get(f"{root}.trainer.connectors.callback_connector")
    original = getattr(module, _LOADER, None)
    if original is None or root in wrapped:
        return

    @functools.wraps(original)
    def load(*args: Any, **kwargs: Any) -> Any:
        found = original(*args, **kwargs)
        try:
            is_there = any(getattr(one, "is_of_train_supervisor", False) for one in found)
            if is_there or not is_wanted() or not patched_roots():
                return found
            return [*found, make_callback()]
        except Exception as error:
            hook.tell(f"the adapter for lightning is off: {type(error).__name__}: {error}")
            return found

    setattr(module, _LOADER, load)
    wrapped.add(root)
