"""A checkpoint's step and epoch, and the order of checkpoints by them. It unpickles nothing."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from supervisor.checkpoint.formats.table import PROGRESS_FILES
from supervisor.checkpoint.inside import read_inside
from supervisor.checkpoint.layout import TRAINING_STATE
from supervisor.checkpoint.listing import FileListing, read_object


class StepAndEpoch(NamedTuple):
    """Optimizer steps done, the epoch's index from 0, and the kind of save. None: unknown."""

    step: int | None
    epoch: int | None
    kind: str | None


def read_position(stock: FileListing) -> StepAndEpoch:
    """Read a checkpoint's step and epoch. Raises OSError.

    They come from its state file, else its name, else from inside its file.
    """
    step, epoch, kind = stock.named or (None, None, None)
    for progress in PROGRESS_FILES:
        if not stock.is_directory:
            break
        state = read_object(stock, progress.name)
        found = _whole(state.get(progress.step_key))
        if found is not None:
            known_epoch = _whole(state.get(progress.epoch_key))
            return StepAndEpoch(found, epoch if known_epoch is None else known_epoch, kind)
    if step is not None and epoch is not None:
        return StepAndEpoch(step, epoch, kind)
    inside = read_inside(stock)
    if step is None or (inside.is_surer and inside.step is not None):
        step = inside.step
    return StepAndEpoch(step, inside.epoch if epoch is None else epoch, kind)


def is_marked(stock: FileListing) -> bool:
    """Whether `training_state.json` has the key `format`, as ours has. Raises OSError."""
    return "format" in read_object(stock, TRAINING_STATE)


def _whole(value: object) -> int | None:
    """Return a step or epoch from JSON as a whole number, or None. HF's epoch is a fraction."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value < 2**63 else None


class OrderKey(NamedTuple):
    """What a checkpoint is ordered by; `mtime` in seconds since 1970."""

    step: int | None
    epoch: int | None
    mtime: float
    name: str


def order(places: Sequence[OrderKey]) -> list[int]:
    """Return the indices of `places`, newest checkpoint first.

    Checkpoints are ordered by step, those of one step by mtime. A checkpoint without a step counts
    as just newer than the highest step with the same or an earlier mtime. Checkpoints with an epoch
    but no step keep the order of their epochs, even if their mtimes disagree (copied files).
    """
    known = sorted((place.mtime, place.step) for place in places if place.step is not None)
    times = [mtime for mtime, _ in known]
    highest: list[int] = []
    for _, step in known:
        highest.append(max(step, highest[-1] if highest else -1))

    def anchor(place: OrderKey) -> int:
        index = bisect_right(times, place.mtime)
        return highest[index - 1] if index else -1

    keys: dict[int, tuple[int, int, int, float, str]] = {}
    floor = -1
    unknown = [index for index, place in enumerate(places) if place.step is None]
    unknown.sort(key=lambda index: (places[index].epoch or -1, places[index].mtime))
    for index in unknown:
        place = places[index]
        at = anchor(place)
        if place.epoch is not None:
            at = floor = max(floor, at)
        epoch = -1 if place.epoch is None else place.epoch
        keys[index] = (at, 1, epoch, place.mtime, place.name)
    for index, place in enumerate(places):
        if place.step is not None:
            keys[index] = (place.step, 0, 0, place.mtime, place.name)
    return sorted(keys, key=keys.__getitem__, reverse=True)
