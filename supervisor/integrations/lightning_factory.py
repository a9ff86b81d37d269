"""The callbacks that Lightning's entry points give: none without a supervisor."""

from __future__ import annotations

import os

from . import hook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def callbacks() -> list[Any]:
    """Return the callback for a new Trainer."""
    if not os.environ.get("SUPERVISOR_HEARTBEAT") or not hook.is_wanted("lightning"):
        return []
    from .lightning import make_callbacks

    return make_callbacks()


def fabric_callbacks() -> list[Any]:
    """Return none: Fabric tells callbacks of optimizer steps alone, and torch tells of those.

    `lightning_fabric` wraps its saves and loads.
    """
    return []
