"""Chooses which of the run's checkpoints are beyond those to keep, and removes them."""

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from supervisor.checkpoint import set_aside
from supervisor.checkpoint.layout import SET_ASIDE
from supervisor.checkpoint.records import CheckpointEntry
from supervisor.checkpoint.staging import discard
from supervisor.checkpoint.validate import is_resumable
from supervisor.core.vocabulary import Tier
from supervisor.system.durable import rename_durably

_DELETING = ".deleting-"


def plan(
    entries: Sequence[CheckpointEntry],
    keep: int | None,
    pins: Iterable[str],
    *,
    include_foreign: bool = False,
) -> tuple[CheckpointEntry, ...]:
    """Return the checkpoints beyond the `keep` newest, oldest first. A `keep` of None keeps all.

    `entries`: newest first, as a survey lists them. Only valid candidates on disk that this run
    made are counted. Other trainers' formats count only with `include_foreign` (the user set
    `keep`). Invalid and unproven checkpoints are neither counted nor removed: invalid ones are
    set aside instead. Pinned checkpoints are not counted. Best checkpoints are counted among the
    `keep` newest. Pinned checkpoints, best checkpoints and the newest resumable checkpoint are
    never removed.
    """
    if keep is None:
        return ()
    pinned = frozenset(pins)
    mine = list(
        {
            entry.path: entry
            for entry in entries
            if entry.tier == Tier.DISK and entry.own_run and entry.candidate and entry.valid
        }.values()
    )
    newest_valid = next((entry for entry in mine if is_resumable(entry)), None)
    counted = [
        entry
        for entry in mine
        if (entry.ours or include_foreign) and entry.name not in pinned and not entry.pinned
    ]
    return tuple(
        entry
        for entry in reversed(counted[max(keep, 1) :])
        if (newest_valid is None or entry.path != newest_valid.path) and not entry.best
    )


def remove(entry: CheckpointEntry, run_root: Path | None = None) -> None:
    """Rename a checkpoint to a hidden name, durably, then delete it: no half of it is ever seen.

    `run_root`: where the run directory keeps checkpoints that were set aside; it is tried first.
    A checkpoint that is gone already is no error. Raises OSError; then `finish_removals` deletes
    the checkpoint if it was hidden already.
    """
    path = entry.path
    if entry.tier != Tier.SET_ASIDE:
        remove_path(path, set_aside.roots_of(path.parent, run_root))
    elif not any(set_aside.is_no_folder(one) for one in (path.parent, path.parent.parent)):
        # If the folder of set-aside checkpoints or its root is a link, its target is not ours.
        remove_path(path, (path.parent.parent,), is_aside=True)


def remove_path(path: Path, roots: Sequence[Path] = (), *, is_aside: bool = False) -> None:
    """Remove a checkpoint by its path, as `remove` does: hide it in the first root that takes it.

    Without roots the checkpoint is hidden in `.set-aside` beside it, as writers of checkpoints do:
    that folder is their own. `is_aside`: the checkpoint was set aside before. Raises OSError.
    """
    try:
        target = _hide(path, roots)
    except FileNotFoundError:
        if os.path.lexists(path):
            raise
        return
    if is_aside:
        set_aside.forget(path)
    discard(target)
    set_aside.remove_if_empty(target.parent)


def _hide(path: Path, roots: Sequence[Path]) -> Path:
    """Rename a path into the first root that takes it, durably. Returns the new path."""
    *others, last = roots or (path.parent / SET_ASIDE,)
    for root in others:
        with contextlib.suppress(OSError):
            return _hide_in(root, path)
        path.lstat()
    return _hide_in(last, path)


def _hide_in(root: Path, path: Path) -> Path:
    target = root / f"{_DELETING}{path.name}"
    for tries_left in reversed(range(set_aside.MOST_TRIES)):
        try:
            set_aside.make(root)
            # An interrupted removal of the same name may have left a directory in the way.
            discard(target)
            rename_durably(path, target)
            break
        except FileNotFoundError:
            if not tries_left or not os.path.lexists(path):
                set_aside.remove_if_empty(root)
                raise
        except OSError:
            set_aside.remove_if_empty(root)
            raise
    return target


def finish_removals(directory: Path, run_root: Path | None = None) -> tuple[Path, ...]:
    """Delete what interrupted removals left behind. Returns what it deleted. Raises OSError."""
    removed: list[Path] = []
    for root in set_aside.roots_of(directory, run_root):
        try:
            left = [path for path in root.iterdir() if path.name.startswith(_DELETING)]
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue  # we have hidden nothing there
        removed += [path for path in left if discard(path)]
        set_aside.remove_if_empty(root)
    return tuple(removed)
