"""Which of the run's checkpoints are more than should be kept, and their removal."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from supervisor.checkpoint.names import SET_ASIDE
from supervisor.checkpoint.records import Entry
from supervisor.checkpoint.staging import discard
from supervisor.checkpoint.survey import is_resumable
from supervisor.durable import fsync_directory, rename_durably

_DELETING = ".deleting-"


def plan(
    entries: Sequence[Entry],
    keep: int | None,
    pins: Iterable[str],
    *,
    include_foreign: bool = False,
) -> tuple[Entry, ...]:
    """Those beyond the `keep` newest, oldest first; never the newest valid one.

    `entries` newest first, as a survey has them. Only this run's own on disk are counted, those of
    other trainers only with `include_foreign` (the user set `keep`). Bad and unproven ones are
    neither counted nor removed: they are for the shelf. Pinned ones are not counted either, best
    ones only among the `keep` newest; neither is ever removed. None keeps all.
    """
    if keep is None:
        return ()
    pinned = frozenset(pins)
    mine = [
        entry
        for entry in entries
        if entry.tier == "disk" and entry.own_run and entry.candidate and entry.valid
    ]
    newest_valid = next((entry for entry in mine if is_resumable(entry)), None)
    counted = [
        entry
        for entry in mine
        if (entry.ours or include_foreign) and entry.name not in pinned and not entry.pinned
    ]
    return tuple(
        entry
        for entry in reversed(counted[max(keep, 1) :])
        if entry is not newest_valid and not entry.best
    )


def remove(entry: Entry) -> None:
    """Take a checkpoint out of sight, durably, then delete it: it is never there by half.

    Gone already is fine. Raises OSError; what is left then goes with `finish_removals`.
    """
    path = entry.path
    hidden = path.parent.parent if entry.tier == "set_aside" else path.parent / SET_ASIDE
    if not hidden.is_dir():
        hidden.mkdir(exist_ok=True)
        fsync_directory(hidden.parent)
    target = hidden / f"{_DELETING}{path.name}"
    # What an interrupted removal of the same name left would be in the way of the rename.
    discard(target)
    try:
        rename_durably(path, target)
    except FileNotFoundError:
        if os.path.lexists(path):
            raise
        return
    discard(target)


def finish_removals(directory: Path) -> tuple[Path, ...]:
    """Delete what removals that were interrupted left behind. Raises OSError."""
    try:
        left = [
            Path(entry.path)
            for entry in os.scandir(directory / SET_ASIDE)
            if entry.name.startswith(_DELETING)
        ]
    except FileNotFoundError:
        return ()
    return tuple(path for path in left if discard(path))
