"""How long the last attempt trained, if it left no save: the next one has to save before that."""

from dataclasses import dataclass

from supervisor.core.entries.attempt import (
    AttemptEndedEntry,
    AttemptStartedEntry,
    AttemptUnwatchedEntry,
    FirstStepEntry,
)
from supervisor.core.entries.entry import Entry
from supervisor.core.measured_recovery import is_mistake
from supervisor.core.vocabulary import Failure


@dataclass(frozen=True, slots=True)
class LastTraining:
    """As the ledger shows it."""

    lasted_s: float | None = None
    """None: no attempt has ended yet, or the last one was completed or saved at its stop."""
    startup_s: float | None = None
    """How long the present attempt took to its first step. None: it has made none."""

    def with_entry(self, entry: Entry) -> "LastTraining":
        """The same with one more entry of the ledger; the same object if it tells nothing."""
        match entry:
            case AttemptStartedEntry():
                return LastTraining(self.lasted_s)
            case FirstStepEntry():
                return LastTraining(self.lasted_s, entry.startup_s or 0.0)
            case AttemptUnwatchedEntry():
                return LastTraining(0.0)  # nobody saw when it ended
            case AttemptEndedEntry() if entry.saved or entry.failure is Failure.COMPLETED:
                return LastTraining()
            case AttemptEndedEntry() if not is_mistake(entry):
                return LastTraining(self._lasted_s(entry))
            case _:
                return self

    def _lasted_s(self, entry: AttemptEndedEntry) -> float:
        ran_s = max((entry.duration_s or 0.0) - (self.startup_s or 0.0), 0.0)
        is_start = self.startup_s is None and entry.step is None
        # A death in the start says nothing of how long a training lasts.
        return self.lasted_s if is_start and self.lasted_s is not None else ran_s
