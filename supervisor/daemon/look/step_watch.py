"""Follows each source of an attempt's steps (beats, log), and judges whether the attempt resumed.

The ledger keeps what was seen: where a run began, and where its counters stood at each save.
"""

import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from supervisor.checkpoint.records import CheckpointEntry
from supervisor.core.entries.entry import Entry
from supervisor.core.entries.resuming import StepsBeganEntry, StepsWentBackEntry
from supervisor.core.entries.saves import SaveSeenEntry, SourceAtSave
from supervisor.core.events import BeginsAnew, Event, GoesOn
from supervisor.core.rules.step_counters import (
    BEAT,
    Counter,
    CountersBySource,
    ResumeFinding,
    StepsSeen,
    fold_counters,
    judge,
    writes_over,
)
from supervisor.core.vocabulary import Tier
from supervisor.daemon.look.observer import Observation
from supervisor.daemon.run import Run
from supervisor.survey.answer import Survey

_SOURCES_MAX = 8
# Five minutes of looks or more: a checkpoint is seen seconds after it was written.
_SAMPLES = 600
_PRINTED_MAX = 100
_PER_EPOCH = ":epoch|"


@dataclass(slots=True)
class _Source:
    seen: StepsSeen
    samples: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    saved: tuple[float, int] | None = None
    """When the last save was written, and the step shown then."""

    def at(self, wall: float) -> int | None:
        """The step shown at this time; None if it is before the samples kept."""
        return next((step for when, step in reversed(self.samples) if when <= wall), None)

    def seen_at(self, wall: float) -> float:
        """When it last showed a step up to this time; before all times if it had not."""
        return next((when for when, _ in reversed(self.samples) if when <= wall), float("-inf"))


class StepWatch:
    """Called from the periodic work; there is one for each daemon."""

    def __init__(self, run: Run, emit: Callable[[Event], None]) -> None:
        self._run = run
        self._emit = emit
        self._known: CountersBySource = run.history.counters
        command = "\0".join(run.config.command).encode()
        self._beats = f"{BEAT}:{zlib.crc32(command):08x}"
        pattern = (run.config.watch.progress or "").encode()
        self._log = f"log:{zlib.crc32(pattern, zlib.crc32(command)):08x}:"
        self._attempt = 0
        self._path: str | None = None
        self._is_fresh = False
        self._since_wall = 0.0
        self._sources: dict[str, _Source] = {}
        self._saves: dict[str, float] = {}
        self._on_disk: frozenset[str] = frozenset()
        self._goes_on = False

    def begin(self, attempt: int, path: str | None, wall: float, *, is_fresh: bool) -> None:
        """An attempt has started, or was adopted. `path`: the checkpoint on the disk to go on from.

        `is_fresh`: it was told to begin from nothing, and finds nothing itself.
        """
        self._attempt, self._path, self._since_wall = attempt, path, wall
        self._is_fresh, self._goes_on = is_fresh, False
        self._sources, self._saves = {}, {}

    def note_look(self, look: Observation, now: float, wall: float) -> None:
        """Take in the steps of one look; judge them until the attempt is known to go on."""
        if look.observed.attempt != self._attempt:
            return
        if look.beat_step is not None and look.observed.beating:
            key = self._beats + _training_key(look.beat_training)
            self._take(key, look.beat_step, now, wall, look.epoch)
        steps = look.printed
        if len(steps) > 2 * _PRINTED_MAX:  # a loop gone wild: both ends are enough
            steps = (*steps[:_PRINTED_MAX], *steps[-_PRINTED_MAX:])
        for printed in steps:
            self._take(self._log + printed.shape, printed.step, now, wall, None)
        if self._path is not None and not self._goes_on:
            self._judge(self._path)

    def note_survey(self, survey: Survey) -> None:
        """Note where the counters stood when each new checkpoint on the disk was written."""
        found = [one for one in survey.entries if _is_save(one)]
        self._on_disk = frozenset(str(one.path) for one in found)
        for entry in sorted(found, key=lambda one: one.mtime):
            path = str(entry.path)
            if entry.mtime < self._since_wall or self._saves.get(path) == entry.mtime:
                continue
            self._saves[path] = entry.mtime
            sources = dict(self._at_save(entry.mtime))
            if any(self._is_news(path, key, said) for key, said in sources.items()):
                self._record(
                    SaveSeenEntry(
                        attempt=self._attempt, path=path, step=entry.step, sources=sources
                    )
                )

    def _is_news(self, path: str, key: str, said: SourceAtSave) -> bool:
        # A checkpoint that is still being written changes its time at each look.
        return self._known.get(key, Counter()).saves.get(path) != said.at

    def _at_save(self, written: float) -> Iterator[tuple[str, SourceAtSave]]:
        # Beats of an earlier training of the process have nothing to do with this save.
        beats = {key: one for key, one in self._sources.items() if self._is_beat(key)}
        latest = max(beats, key=lambda key: beats[key].seen_at(written), default=None)
        for key, source in self._sources.items():
            if key in beats and key != latest:
                continue
            step = source.at(written)
            if step is None:
                continue
            before, began = source.saved or source.samples[0]
            said = SourceAtSave(at=step, interval=max(step - began, 0))
            # A save that is still being written may have been seen some steps before. The few steps
            # since then are no whole interval.
            is_whole = 2 * (step - began) >= self._known.get(key, Counter()).interval
            if step > began and written > before and is_whole:
                pace_s = round((written - before) / (step - began), 6)
                said = replace(said, pace_s=pace_s)
                source.saved = (written, step)
            yield key, said

    def _take(self, key: str, step: int, now: float, wall: float, epoch: int | None) -> None:
        if step <= 0:
            return  # a bar's first print
        source = self._sources.get(key)
        if source is None:
            if len(self._sources) >= _SOURCES_MAX:
                return
            source = self._sources[key] = _Source(StepsSeen(step, now, step, now, epoch))
        seen = source.seen
        if step < seen.last and not seen.went_back:
            seen = replace(seen, went_back=True)
            if not self._known.get(key, Counter()).went_back:
                self._record(StepsWentBackEntry(attempt=self._attempt, source=key))
        began = self._is_fresh and step > seen.first and seen.last == seen.first
        source.seen = replace(seen, last=step, last_at=now)
        if source.samples and source.samples[-1][0] == wall:
            source.samples.pop()
        source.samples.append((wall, step))
        if began and not seen.went_back:
            step_of, epoch_of = seen.first, seen.epoch
            self._record(
                StepsBeganEntry(attempt=self._attempt, source=key, step=step_of, epoch=epoch_of)
            )

    def _judge(self, path: str) -> None:
        # Beats are trusted over printed steps: a bar may count each attempt's own steps.
        beats = any(map(self._is_beat, (*self._sources, *self._known)))
        keys = [k for k in self._sources if self._is_beat(k) or not (beats or _PER_EPOCH in k)]
        suspected: str | None = None
        for key in keys:
            seen = self._sources[key].seen
            match judge(self._known.get(key), path, seen):
                case ResumeFinding.GOES_ON:
                    self._goes_on = True
                    self._emit(GoesOn(self._attempt))
                    return
                case ResumeFinding.BEGINS_ANEW:
                    suspected = key
                case ResumeFinding.NOTHING:
                    pass
        if suspected is None:
            return
        counter, seen = self._known[suspected], self._sources[suspected].seen
        self._emit(
            BeginsAnew(
                self._attempt,
                path,
                counter.saves[path],
                seen.first,
                seen.last,
                is_beat=self._is_beat(suspected),
                writes_over=writes_over(counter, seen.last, self._on_disk),
            )
        )

    def _is_beat(self, key: str) -> bool:
        """Whether the source is this command's beats, of whichever of its trainings."""
        return key == self._beats or key.startswith(f"{self._beats}:")

    def _record(self, entry: Entry) -> None:
        self._known = fold_counters(self._known, entry)
        self._run.journal.record(entry)


def _training_key(training: tuple[str | None, int] | None) -> str:
    """Tells trainings of one process apart: the steps of each begin at 1."""
    if training is None:
        return ""
    directory, ordinal = training
    return f":{zlib.crc32((directory or '').encode(errors='surrogateescape')):08x}-{ordinal}"


def _is_save(entry: CheckpointEntry) -> bool:
    """Whether it is this run's checkpoint on the disk and tells its step; it may be unproven.

    A checkpoint without our manifest is proven only once it has been left alone for a while.
    """
    return (
        entry.tier == Tier.DISK
        and entry.own_run
        and entry.valid is not False
        and entry.step is not None
    )
