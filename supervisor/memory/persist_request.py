"""Asking that the newest snapshot be persisted, wanted or not; the answer is on the board."""

import json
from pathlib import Path
from typing import NamedTuple

from supervisor.memory.persister_status import read_board, read_small
from supervisor.memory.slots import SnapshotPaths, wake
from supervisor.system.clock import wall_s
from supervisor.system.durable import replace_file


class RescueRequest(NamedTuple):
    """One request: its id, which only grows, why it was made, and when in wall seconds."""

    id: int
    why: str
    at: float


def ask(root: Path, why: str) -> int:
    """Ask that the newest whole snapshot be put onto the disk; the id that the answer will have.

    The persister may start after the request. Raises OSError (no such directory, a full tmpfs).
    """
    before = read(root)
    board = read_board(root)
    answered = board.rescue.id if board is not None and board.rescue is not None else 0
    number = max(before.id if before is not None else 0, answered) + 1
    request = RescueRequest(number, why, wall_s())
    replace_file(SnapshotPaths(root).rescue, json.dumps(request._asdict()).encode(), sync=False)
    wake(root)
    return number


def read(root: Path) -> RescueRequest | None:
    """The newest request, answered or not; None if there is none that can be read."""
    raw = read_small(SnapshotPaths(root).rescue)
    if raw is None:
        return None
    try:
        values = json.loads(raw)
        return RescueRequest(int(values["id"]), str(values["why"]), float(values["at"]))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
