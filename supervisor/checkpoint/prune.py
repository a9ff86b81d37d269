"""Which of the run's checkpoints are more than should be kept, and their removal."""

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
        if entry.tier == Tier.DISK and entry.own_run and entry.candidate and entry.valid
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


def remove(entry: CheckpointEntry, run_root: Path | None = None) -> None:
    """Take a checkpoint out of sight, durably, then delete it: it is never there by half.

    `run_root`: the run directory's place for what is set aside, tried first. Gone already is fine.
    Raises OSError; a checkpoint that was hidden by then goes with `finish_removals`.
    """
    path = entry.path
    if entry.tier != Tier.SET_ASIDE:
        remove_path(path, set_aside.roots_of(path.parent, run_root))
    elif not any(set_aside.is_no_folder(one) for one in (path.parent, path.parent.parent)):
        # what stands beyond a link is not ours
        remove_path(path, (path.parent.parent,), is_aside=True)


def remove_path(path: Path, roots: Sequence[Path] = (), *, is_aside: bool = False) -> None:
    """The same by its path, out of sight in the first of the roots that takes it.

    Without roots, inside its own directory: a writer of checkpoints has one there that is its own.
    `is_aside`: it stands on a shelf. Raises OSError.
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
    """Rename into the first root that takes it, durably."""
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
            # What an interrupted removal of the same name left would be in the way of the rename.
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
    """Delete what removals that were interrupted left behind. Raises OSError."""
    removed: list[Path] = []
    for root in set_aside.roots_of(directory, run_root):
        try:
            left = [path for path in root.iterdir() if path.name.startswith(_DELETING)]
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue  # nothing of ours is there
        removed += [path for path in left if discard(path)]
        set_aside.remove_if_empty(root)
    return tuple(removed)
