"""What each source of steps showed over a run. Steps are compared within one source only.

A source is a trainer's beats, or lines of one shape that one pattern matched, under one command.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from enum import StrEnum

from supervisor.core.entries.decision import BeginAgainEntry
from supervisor.core.entries.entry import Entry
from supervisor.core.entries.resuming import StepsBeganEntry, StepsWentBackEntry
from supervisor.core.entries.saves import SaveSeenEntry, SourceAtSave

SAVES_KEPT = 2000
BEAT = "beat"
# Steps that take less than this share of the run's pace are no training: the loop skips batches.
_PACE_LEAST = 0.5


@dataclass(frozen=True, slots=True)
class Counter:
    """One source, as far as this run has seen it."""

    fresh: int | None = None
    """The first step of the last attempt from nothing."""
    fresh_epoch: int | None = None
    pace_s: float | None = None
    """The shortest time that a step took, as an average between two saves."""
    interval: int = 0
    """The most steps between two saves."""
    went_back: bool = False
    """The steps went back within some attempt, as a counter of an epoch's batches does."""
    saves: Mapping[str, int] = field(default_factory=dict)
    """The step that it showed when a checkpoint was written, by the checkpoint's path."""


@dataclass(frozen=True, slots=True)
class StepsSeen:
    """What a source has shown of one attempt; times in seconds, of one clock."""

    first: int
    first_at: float
    last: int
    last_at: float
    epoch: int | None = None
    went_back: bool = False


class ResumeFinding(StrEnum):
    """What a source's steps say of a resume."""

    NOTHING = "nothing"
    GOES_ON = "goes on"
    BEGINS_ANEW = "begins anew"


CountersBySource = Mapping[str, Counter]


def fold_counters(known: CountersBySource, entry: Entry) -> CountersBySource:
    """The counters with one more ledger entry."""
    match entry:
        case StepsBeganEntry(source=key):
            before = known.get(key, Counter())
            return {**known, key: replace(before, fresh=entry.step, fresh_epoch=entry.epoch)}
        case StepsWentBackEntry(source=key):
            return {**known, key: replace(known.get(key, Counter()), went_back=True)}
        case SaveSeenEntry(path=path, sources=sources):
            known = {k: _without(path, v, k, sources) for k, v in known.items()}
            return {**known, **{k: _saved(known.get(k), path, v) for k, v in sources.items()}}
        case BeginAgainEntry():
            return {}
        case _:
            return known


def _without(path: str, counter: Counter, key: str, sources: Mapping[str, SourceAtSave]) -> Counter:
    """A training's beats without a checkpoint that another training has written anew.

    Folds save into one directory under the same names.
    """
    is_other = key not in sources and key.startswith(BEAT) and path in counter.saves
    if not is_other or not any(one.startswith(BEAT) for one in sources):
        return counter
    return replace(counter, saves={p: at for p, at in counter.saves.items() if p != path})


def _saved(before: Counter | None, path: str, seen: SourceAtSave) -> Counter:
    before = before or Counter()
    saves = {**before.saves, path: seen.at}
    if len(saves) > SAVES_KEPT:
        del saves[next(iter(saves))]
    paces = [pace for pace in (before.pace_s, seen.pace_s) if pace is not None]
    return replace(
        before,
        saves=saves,
        interval=max(before.interval, seen.interval),
        pace_s=min(paces, default=None),
    )


def judge(counter: Counter | None, path: str, seen: StepsSeen) -> ResumeFinding:
    """What a source says of an attempt that was told to go on from the checkpoint at `path`.

    BEGINS_ANEW needs two rising steps, at a pace of training, near where the run's fresh start was.
    """
    if counter is None or counter.went_back or seen.went_back or counter.interval <= 0:
        return ResumeFinding.NOTHING
    at_save, fresh, pace_s = counter.saves.get(path), counter.fresh, counter.pace_s
    if at_save is None or fresh is None or pace_s is None:
        return ResumeFinding.NOTHING
    limit = at_save - 2 * counter.interval
    if seen.first >= limit:
        return ResumeFinding.GOES_ON if limit > fresh else ResumeFinding.NOTHING
    rose, took_s = seen.last - seen.first, seen.last_at - seen.first_at
    is_near = seen.first <= fresh + counter.interval // 5 + 1
    is_trained = rose > 0 and took_s >= _PACE_LEAST * pace_s * rose
    if seen.last >= limit or not is_near or not is_trained or seen.epoch != counter.fresh_epoch:
        return ResumeFinding.NOTHING
    return ResumeFinding.BEGINS_ANEW


def writes_over(counter: Counter, step: int, on_disk: Set[str]) -> bool:
    """Whether an attempt at this step would next save in the place of an existing checkpoint.

    The next save is expected where this source has shown an earlier save at the next higher step.
    """
    later = [(at, path) for path, at in counter.saves.items() if at > step]
    at, path = min(later, default=(step, ""))
    return path in on_disk and at - step <= counter.interval
