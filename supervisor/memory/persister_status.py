"""The persister's board: what it does and did, for trainer, daemon and next persister to read."""

import json
import os
from pathlib import Path
from typing import Any, Literal, NamedTuple

from supervisor.memory.slots import SnapshotPaths
from supervisor.system.durable import replace_file
from supervisor.system.identity import start_ticks

MOST_RESULTS = 16

_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("pid", "start_ticks", "sequence", "step", "bytes", "done_bytes", "id"), int),
    **dict.fromkeys(("since", "seconds", "at"), (int, float)),
    **dict.fromkeys(("state", "name", "path", "error", "outcome", "why"), str),
    **dict.fromkeys(("ok", "finite"), bool),
}
_MAY_BE_NONE = ("step", "path", "error", "finite")

PersisterState = Literal["idle", "persisting", "vetting"]
RescueOutcome = Literal["persisted", "already", "nothing", "failed"]
Why = Literal["save", "rescue"]


class Current(NamedTuple):
    """The persist that is under way; `since` in wall seconds."""

    sequence: int
    step: int
    name: str
    bytes: int
    done_bytes: int
    since: float


class RescueResult(NamedTuple):
    """How the rescue request `id` ended; `path` and `step` of the checkpoint on the disk now."""

    id: int
    outcome: RescueOutcome
    step: int | None
    path: str | None
    error: str | None


class Result(NamedTuple):
    """One persist that ended; `path` of the checkpoint if `ok`, `at` in wall seconds."""

    sequence: int
    step: int
    name: str
    path: str | None
    ok: bool
    error: str | None
    bytes: int
    seconds: float
    finite: bool | None
    why: Why
    at: float


class PersisterRecord(NamedTuple):
    """The whole board; `results` has the newest last."""

    pid: int
    start_ticks: int
    state: PersisterState = "idle"
    current: Current | None = None
    rescue: RescueResult | None = None
    results: tuple[Result, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The board as JSON takes it."""
        return {
            **self._asdict(),
            "current": None if self.current is None else self.current._asdict(),
            "rescue": None if self.rescue is None else self.rescue._asdict(),
            "results": [result._asdict() for result in self.results],
        }

    @property
    def is_of_living(self) -> bool:
        """Whether the persister that wrote it is alive."""
        return self.start_ticks == start_ticks(self.pid)


def blank_board() -> PersisterRecord:
    """The board of this process, with nothing on it."""
    pid = os.getpid()
    return PersisterRecord(pid, start_ticks(pid) or 0)


def read_board(root: Path) -> PersisterRecord | None:
    """What the board of a snapshot directory says; None if there is none that can be read."""
    raw = read_small(SnapshotPaths(root).board)
    if raw is None:
        return None
    try:
        values: dict[str, Any] = json.loads(raw)
        current, rescue = values["current"], values["rescue"]
        values["current"] = None if current is None else Current(**_known(Current, current))
        values["rescue"] = None if rescue is None else RescueResult(**_known(RescueResult, rescue))
        values["results"] = tuple(Result(**_known(Result, one)) for one in values["results"])
        return PersisterRecord(**_known(PersisterRecord, values))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _known(kind: type[NamedTuple], values: dict[str, Any]) -> dict[str, Any]:
    """The fields of `kind` in a part of the board, their types checked. Raises TypeError.

    Others are passed over: after an upgrade the persister is of another version than the daemon.
    """
    found = {name: values[name] for name in kind._fields if name in values}
    for name, value in found.items():
        is_missing = value is None and name in _MAY_BE_NONE
        if not is_missing and not isinstance(value, _KINDS.get(name, object)):
            raise TypeError(name)
    return found


def write_board(root: Path, board: PersisterRecord) -> None:
    """Replace the board. Raises OSError (ENOSPC on a full tmpfs)."""
    kept = board._replace(results=board.results[-MOST_RESULTS:])
    data = json.dumps(kept.to_json(), separators=(",", ":")).encode()
    replace_file(SnapshotPaths(root).board, data, sync=False)


def read_small(path: Path, most_bytes: int = 1 << 20) -> bytes | None:
    """A small file of a snapshot directory; None if it is absent, a link, no file, or large."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        size = os.fstat(fd).st_size
        return os.pread(fd, size, 0) if size <= most_bytes else None
    except OSError:
        return None
    finally:
        os.close(fd)
