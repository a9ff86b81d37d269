"""The ledger's lines as entries with their times, and the entry that a new run begins with."""

import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import supervisor
from supervisor.core.entries.entry import Stamped
from supervisor.core.entries.reading import read_entry
from supervisor.core.entries.run import RunCreatedEntry
from supervisor.rundir.ledger import iterate_ledger
from supervisor.system.clock import parse_rfc3339

# No machine is up for so many seconds.
_MOST_S = 1e12


def stamped(record: dict[str, Any]) -> Stamped:
    """One record of the ledger as an entry; a wall time that cannot be read is 0."""
    wall, monotonic = 0.0, record.get("monotonic")
    with suppress(TypeError, ValueError, OverflowError, KeyError):
        wall = parse_rfc3339(record["at"])
    is_known = isinstance(monotonic, float | int) and abs(monotonic) < _MOST_S
    return Stamped(read_entry(record), wall, monotonic if is_known else None)


def iterate_entries(path: Path) -> Iterator[Stamped]:
    """All whole entries in order, one by one, since a ledger of weeks is long. Raises OSError."""
    return map(stamped, iterate_ledger(path))


def run_created(name: str) -> RunCreatedEntry:
    """The first entry of a new run, with an id that no other has."""
    run_id = uuid.uuid4().hex[:16]
    return RunCreatedEntry(run_id=run_id, name=name, version=supervisor.__version__)
