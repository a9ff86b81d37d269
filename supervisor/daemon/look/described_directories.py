"""The checkpoint directories that this run's trainers named, from their records and as they come.

They count only if the configuration names no directory.
"""

from collections.abc import Iterable
from pathlib import Path

from supervisor.core.entries.entry import Entry
from supervisor.core.entries.trainer import DescribedEntry, SignDescribedEntry
from supervisor.core.history import History, NamedPlace
from supervisor.core.replayed_description import with_description
from supervisor.rundir.described_places import described_places, named_bests
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.recorded_saves import RecordedSaves, merged


class DescribedDirectories:
    """Fed with the ledger's entries as they are written; it begins with the history's."""

    def __init__(self, paths: RunPaths, history: History, *, are_followed: bool) -> None:
        self.run_dir = paths.run_dir
        self._history = history
        self._are_followed = are_followed
        self._record = RecordedSaves(paths.trainings, paths.run_dir)
        self._saved: tuple[NamedPlace, ...] = ()

    @property
    def _places(self) -> tuple[NamedPlace, ...]:
        return merged(self._history.places, self._saved) if self._are_followed else ()

    def note(self, entry: Entry) -> None:
        """Take in one entry."""
        if isinstance(entry, DescribedEntry | SignDescribedEntry):
            self._history = with_description(self._history, entry)

    @property
    def current(self) -> Path | None:
        """The directory that was named last; None if none was, or the configuration names one."""
        places = self._places
        return self.run_dir / places[0].path if places else None

    def to_look_into(self, known: Iterable[str]) -> tuple[str, ...]:
        """The directories that a survey looks into; `known`: paths of checkpoints on record."""
        self._saved = self._record.look() if self._are_followed else ()
        return tuple(map(str, described_places(self.run_dir, self._places, known)))

    def all(self) -> frozenset[str]:
        """Every directory that was ever named."""
        return frozenset(str(self.run_dir / place.path) for place in self._places)

    @property
    def bests(self) -> tuple[str, ...]:
        """The checkpoints that trainers called their best: one for each directory."""
        return named_bests(self.run_dir, self._history.bests.values())
