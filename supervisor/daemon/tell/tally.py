"""Counts of a run, from its ledger: restarts by the failure before them, incidents, lost steps."""

from collections import Counter

from supervisor.core.entries.attempt import AttemptEndedEntry, AttemptStartedEntry
from supervisor.core.entries.decision import BeginAgainEntry
from supervisor.core.entries.entry import Entry
from supervisor.core.entries.run import IncidentEntry

NO_FAILURE = "none"


class Tally:
    """Told of each entry, those of earlier daemons too."""

    def __init__(self) -> None:
        self.incidents = 0
        self._restarts: Counter[str] = Counter()
        self._before = NO_FAILURE
        self._ended_at: int | None = None
        self._lost_steps: int | None = None

    def note(self, entry: Entry) -> None:
        """Count one more entry."""
        match entry:
            case AttemptEndedEntry():
                self._before = NO_FAILURE if entry.failure is None else entry.failure.value
                self._ended_at = entry.step
            case AttemptStartedEntry():
                self._lost_steps = self.lost_steps(_step_of(entry))
                self._ended_at = None
                if entry.attempt > 1:
                    self._restarts[self._before] += 1
                self._before = NO_FAILURE
            case BeginAgainEntry():
                self._ended_at = None  # the user gives these steps up
            case IncidentEntry():
                self.incidents += 1

    @property
    def last_failure(self) -> str | None:
        """The failure that the last attempt ended with; None where none is known."""
        return None if self._before == NO_FAILURE else self._before

    def lost_steps(self, begins_at: int | None) -> int | None:
        """How many steps all attempts have lost once the next one begins at this step.

        Only the steps that were seen count. None: of no attempt are they known. `begins_at` None:
        it is not known where it begins.
        """
        if self._ended_at is None or begins_at is None:
            return self._lost_steps
        return (self._lost_steps or 0) + max(self._ended_at - begins_at, 0)

    @property
    def restarts(self) -> tuple[tuple[str, int], ...]:
        """How often a restart followed which failure, sorted by name; `none`: a stop."""
        return tuple(sorted(self._restarts.items()))


def _step_of(entry: AttemptStartedEntry) -> int | None:
    """The step that an attempt begins at; None where it is not known."""
    if entry.checkpoint is not None:
        return entry.checkpoint.step
    return None if entry.resumes_by == "trainer" else 0
