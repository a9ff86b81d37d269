"""At a trainer's first step: have what it has imported written down, whatever comes of it.

The first step is the first beat, or the first optimizer step of a process that does not attach.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from .origins import OURS

_is_recorded = False


def record_imports(tell: Callable[[str], None]) -> None:
    """Write down what was imported by now, for the parked interpreter to import. Never raises.

    Only the attempt's main process is ever parked. A rank below `torchrun` imports other modules.
    A process does it once, under whichever name of this package.
    """
    global _is_recorded
    names = (f"{name}.worker.imports.first_beat" for name in OURS)
    if any(getattr(sys.modules.get(name), "_is_recorded", False) for name in names):
        return
    path = os.environ.get("SUPERVISOR_IMPORTS")
    launcher = os.environ.get("SUPERVISOR_LAUNCHER", "").partition(":")[0]
    if not path or launcher != str(os.getppid()):
        return
    _is_recorded = True
    try:
        from . import recorder  # other processes do not need it

        recorder.record(path)
    except Exception as error:
        # The recorder looks at modules of every kind. A warm start is not worth a training run.
        tell(f"the imports were not recorded, so the next start may be slower: {error}")
