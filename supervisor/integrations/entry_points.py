"""The entry points for Lightning: found by a search for entry points, and in no list of packages.

Experiment trackers write lists of the installed packages, to install them again; no index has ours.
"""

from __future__ import annotations

import os
import sys

from . import hook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import Distribution
    from types import FrameType
    from typing import Any

NAME = "train-supervisor-hook"


def offered(package: str, context: Any) -> Iterator[Distribution]:
    """Yield the distribution if it is asked for by its name, or for entry points.

    `package`: the folder `supervisor/`. `context` is that of `Distribution.discover`. Never raises.
    """
    try:
        asked = {} if context is None else vars(context)
        name = asked.get("name")
        if asked.get("path") is not None:
            return
        if name is None and not (_is_for_entry_points() and hook.is_wanted("lightning")):
            return
        if name is not None and str(name).replace("_", "-").lower() != NAME:
            return
        # Lightning must be able to load what it finds: an upgrade may be removing the files.
        from importlib.metadata import PathDistribution
        from pathlib import Path

        from . import factories

        folder = Path(package, "integrations", "startup", "train_supervisor_hook-1.dist-info")
        if os.path.isdir(folder) and callable(factories.pytorch_callbacks):
            yield PathDistribution(folder)
    except Exception as error:
        hook.tell(f"the adapter for lightning is off: {type(error).__name__}: {error}")


def _is_for_entry_points() -> bool:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_name == "entry_points":
            return True
        frame = frame.f_back
    return False
