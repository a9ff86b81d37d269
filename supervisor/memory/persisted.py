"""The checkpoint that a snapshot became on the disk: finding it, and setting it aside."""

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from supervisor.checkpoint.format import MANIFEST, Manifest, ManifestError
from supervisor.checkpoint.set_aside import SUPERSEDED, put_aside
from supervisor.memory.persister_status import read_small
from supervisor.memory.slots import Whole
from supervisor.system.clock import rfc3339

_MOST_MANIFEST_BYTES = 64 << 20


class Persisted(NamedTuple):
    """A checkpoint on the disk. `was_there`: it was found there, and nothing was written."""

    path: Path
    bytes: int
    seconds: float
    finite: bool | None
    was_there: bool = False


def find_persisted(whole: Whole) -> Persisted | None:
    """The committed checkpoint that this very snapshot became; None if there is none."""
    snapshot = whole.snapshot
    path = Path(os.path.realpath(snapshot.directory)) / snapshot.name
    raw = read_small(path / MANIFEST, _MOST_MANIFEST_BYTES)
    if raw is None:
        return None
    try:
        manifest = Manifest.from_bytes(raw)
    except ManifestError:
        return None
    found = (manifest.run_id, manifest.step, manifest.wall_time)
    try:
        if found != (snapshot.run_id, snapshot.step, rfc3339(snapshot.written)):
            return None
        if any((path / name).lstat().st_size != file.size for name, file in manifest.files.items()):
            return None
    except (OSError, ValueError, OverflowError):  # no such file, or `written` is no date
        return None
    return Persisted(path, snapshot.bytes, 0.0, manifest.finite, was_there=True)


def withdraw(whole: Whole) -> Path | None:
    """Set aside the checkpoint of a snapshot that was given up; None for none. Raises OSError."""
    there = find_persisted(whole)
    if there is None:
        return None
    with suppress(FileNotFoundError):  # another process was quicker
        return put_aside(there.path, SUPERSEDED, "the run went back to an earlier step")
    return None
