"""Counts of a run, from its ledger: restarts by the failure before them, and incidents."""

from collections import Counter

from supervisor.core.entries.attempt import AttemptEndedEntry, AttemptStartedEntry
from supervisor.core.entries.entry import Entry
from supervisor.core.entries.run import IncidentEntry

NO_FAILURE = "none"


class Tally:
    """Told of each entry, those of earlier daemons too."""

    def __init__(self) -> None:
        self.incidents = 0
        self._restarts: Counter[str] = Counter()
        self._before = NO_FAILURE

    def note(self, entry: Entry) -> None:
        """Count one more entry."""
        match entry:
            case AttemptEndedEntry():
                self._before = NO_FAILURE if entry.failure is None else entry.failure.value
            case AttemptStartedEntry() if entry.attempt > 1:
                self._restarts[self._before] += 1
                self._before = NO_FAILURE
            case IncidentEntry():
                self.incidents += 1

    @property
    def restarts(self) -> tuple[tuple[str, int], ...]:
        """How often a restart followed which failure, sorted by name; `none`: a stop."""
        return tuple(sorted(self._restarts.items()))
