"""`status.json`: the run's present state, for people and programs, readable without the daemon."""

import json
from pathlib import Path

from supervisor.core.json_form import from_json, to_json
from supervisor.core.status import Status
from supervisor.system.durable import replace_file
from supervisor.system.small_file import read_small_file


def write_status(path: Path, status: Status) -> None:
    """Replace the file; it mirrors the ledger, so it is not synced. Raises OSError."""
    body = json.dumps(to_json(status), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # A path that is not UTF-8 becomes `\udcff`, which JSON reads back.
    replace_file(path, body.encode("utf-8", "backslashreplace") + b"\n", sync=False)


def read_status(path: Path) -> Status | None:
    """The last status; None where there is none that can be read."""
    try:
        return from_json(Status, json.loads(read_small_file(path)))
    except (OSError, ValueError, RecursionError):
        return None
