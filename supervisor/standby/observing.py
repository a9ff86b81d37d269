"""Begins to observe a cold trainer: after `site`, before its program."""

import os
import sys

from supervisor.standby.observer import ImportObserver
from supervisor.worker.imports.observations import Notes


def begin() -> None:
    """Put an observer before all finders. If that fails, it is noted: the next launch is cold."""
    record = os.environ.get("SUPERVISOR_IMPORTS", "")
    notes = Notes(record, os.environ.get("SUPERVISOR_ATTEMPT", ""))
    try:
        observer = ImportObserver(notes.write)
        sys.meta_path.insert(0, observer)
    except Exception as error:
        # Nothing may keep a training from its start.
        notes.write({"spoiled": f"{type(error).__name__}: {error}"})
