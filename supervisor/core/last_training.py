"""How long the last attempt trained, and what it saved: the next one has to save before it ends.

Ends often come regularly: a machine's limit, a leak of memory.
"""

from dataclasses import dataclass, replace

from supervisor.core.entries.attempt import (
    AttemptEndedEntry,
    AttemptStartedEntry,
    AttemptUnwatchedEntry,
    FirstStepEntry,
)
from supervisor.core.entries.entry import Entry
from supervisor.core.entries.saves import ProgressEntry
from supervisor.core.measured_recovery import is_mistake
from supervisor.core.vocabulary import Failure


@dataclass(frozen=True, slots=True)
class LastTraining:
    """As the ledger shows it."""

    lasted_s: float | None = None
    """None: no attempt has ended yet, or the last one was completed or saved at its stop."""
    startup_s: float | None = None
    """How long the present attempt took to its first step. None: it has made none."""
    has_saved: bool = False
    """Whether a save has become durable since the last first step."""

    def first_interval_s(self, last_s: float | None, min_s: float) -> float | None:
        """The interval to begin with, after one of `last_s` was chosen; None if none was.

        At most half of the time that was trained, which leaves room for the save itself; the
        shortest one after a training in which no save became durable.
        """
        if last_s is None or self.lasted_s is None:
            return last_s
        return min(last_s, max(self.lasted_s / 2, min_s) if self.has_saved else min_s)

    def with_entry(self, entry: Entry) -> "LastTraining":
        """The same with one more entry of the ledger; the same object if it tells nothing."""
        match entry:
            case AttemptStartedEntry():
                return replace(self, startup_s=None)
            case FirstStepEntry():
                return LastTraining(self.lasted_s, entry.startup_s or 0.0)
            case ProgressEntry():
                return replace(self, has_saved=True)
            case AttemptUnwatchedEntry():
                return replace(self, lasted_s=0.0)  # nobody saw when it ended
            case AttemptEndedEntry() if entry.saved or entry.failure is Failure.COMPLETED:
                return LastTraining()
            case AttemptEndedEntry() if not is_mistake(entry):
                return replace(self, lasted_s=self._lasted_s(entry))
            case _:
                return self

    def _lasted_s(self, entry: AttemptEndedEntry) -> float:
        ran_s = max((entry.duration_s or 0.0) - (self.startup_s or 0.0), 0.0)
        is_start = self.startup_s is None and entry.step is None
        # A death in the start says nothing of how long a training lasts.
        return self.lasted_s if is_start and self.lasted_s is not None else ran_s
