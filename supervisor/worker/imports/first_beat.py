"""At a trainer's first beat: have what it has imported written down, whatever comes of it."""

from __future__ import annotations

import os
from collections.abc import Callable


def record_imports(tell: Callable[[str], None]) -> None:
    """Write down what was imported by now, for the parked interpreter to import. Never raises."""
    path = os.environ.get("SUPERVISOR_IMPORTS")
    if not path:
        return
    try:
        from . import recorder  # other processes do not need it

        recorder.record(path)
    except Exception as error:
        # The recorder looks at modules of every kind. A warm start is not worth a training run.
        tell(f"the imports were not recorded, so the next start may be slower: {error}")
