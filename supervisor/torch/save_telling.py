"""Tells the supervisor what saves cost, and how often they come: a small file beside the heartbeat.

It is no part of the heartbeat page, since a loop may have a `Checkpointer` and not attach.
"""

import json
import os
from contextlib import suppress
from pathlib import Path

from supervisor.core.json_form import to_json
from supervisor.core.save_terms import SAVES_TOLD, SavesTold
from supervisor.system.durable import replace_file


class SaveTelling:
    """The file of this process; it does nothing without a supervisor."""

    def __init__(self) -> None:
        directory = os.environ.get("SUPERVISOR_HEARTBEAT")
        self._path = Path(directory, SAVES_TOLD) if directory else None
        self._told: SavesTold | None = None

    def tell(self, told: SavesTold) -> None:
        """Write it if it is news."""
        if self._path is None or told == self._told:
            return
        self._told = told
        # A directory that refuses costs the run what `status` says of saves, and nothing else.
        with suppress(OSError):
            replace_file(self._path, json.dumps(to_json(told)).encode(), sync=False)
