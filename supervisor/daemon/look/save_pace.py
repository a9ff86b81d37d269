"""Learns how often an attempt saves, from the times and steps of its checkpoints."""

from collections.abc import Iterable
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from supervisor.checkpoint.records import CheckpointEntry
from supervisor.core.vocabulary import Tier

_LEAST_SAVES = 3
_MOST_SAVES = 9


class Saves(NamedTuple):
    """What is known of an attempt's saves; None: not known yet."""

    interval_s: float | None = None
    steps: int | None = None
    """Steps between two of them."""


class SavePace:
    """Follows the checkpoints of one attempt. A trainer may remove the older ones."""

    def __init__(self) -> None:
        self.place: str | None = None
        """The directory of the newest save that was seen."""
        self._seen: dict[tuple[str, float], int | None] = {}

    def note(self, entries: Iterable[CheckpointEntry], since: float) -> None:
        """Take in what a survey found; `since`: the attempt's start, seconds since 1970."""
        for entry in entries:
            is_save = entry.tier == Tier.DISK and entry.candidate and entry.valid is not False
            if is_save and entry.own_run and entry.mtime >= since:
                self._seen[entry.name, entry.mtime] = entry.step
                if entry.mtime >= max(moment for _, moment in self._seen):
                    self.place = str(entry.path.parent)
        newest = sorted(self._seen, key=lambda one: one[1])[-_MOST_SAVES:]
        self._seen = {key: self._seen[key] for key in newest}

    @property
    def has_any(self) -> bool:
        """Whether a save of the attempt was seen."""
        return bool(self._seen)

    @property
    def saves(self) -> Saves:
        """The typical time and steps between two saves, once three were seen."""
        times = [moment for _, moment in self._seen]
        if len(times) < _LEAST_SAVES:
            return Saves()
        interval_s = median(b - a for a, b in pairwise(times))
        steps = [step for step in self._seen.values() if step is not None]
        gaps = [b - a for a, b in pairwise(steps) if b > a]
        is_known = len(steps) == len(times) and bool(gaps)
        return Saves(interval_s or None, int(median(gaps)) if is_known else None)
