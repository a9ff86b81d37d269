"""The callbacks that Lightning's entry points give: none without a supervisor.

None either where Lightning's loader is wrapped, which brings the callback itself.
"""

from __future__ import annotations

from . import lightning_loader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def callbacks() -> list[Any]:
    """Return the callback for a new Trainer; none where the wrapped loader brings it."""
    if not lightning_loader.is_wanted():
        return []
    from .lightning import make_callback, patched_roots

    return [] if lightning_loader.wrapped.issuperset(patched_roots()) else [make_callback()]


def fabric_callbacks() -> list[Any]:
    """Return none: Fabric tells callbacks of optimizer steps alone, and torch tells of those.

    `lightning_fabric` wraps its saves and loads.
    """
    return []
