"""How long the run took from a failure to its next new start of training, as its ledger shows."""

from dataclasses import dataclass, replace

from supervisor.core.entries.attempt import AttemptEndedEntry, FirstStepEntry
from supervisor.core.entries.decision import DecisionEntry
from supervisor.core.entries.entry import Entry
from supervisor.core.entries.run import SupervisorStartedEntry
from supervisor.core.failures import Failure, Nature
from supervisor.core.rules.save_interval import DAY_S, usual_s

_MOST = 8
# A person mends these, and the training after that is no likelier to fail.
_MISTAKES = frozenset({
    Failure.CONFIGURATION, Failure.INCOMPATIBLE_SOFTWARE, Failure.BUILD_FAILED,
    Failure.ACCESS_DENIED, Failure.CHECKPOINT_MISMATCH,
})  # fmt: skip


def is_death(entry: AttemptEndedEntry) -> bool:
    """Whether an attempt died of a failure, with nobody asking it to stop.

    A mistake in the configuration that shows before the first step is no failure of a training.
    """
    is_failure = entry.failure is not None and entry.failure.nature is not Nature.ORDINARY
    return is_failure and entry.stop_requested is None and not is_mistake(entry)


def is_mistake(entry: AttemptEndedEntry) -> bool:
    """Whether an attempt ended before its first step for what a person has to mend."""
    return entry.failure in _MISTAKES and not entry.first_step and entry.step is None


@dataclass(frozen=True, slots=True)
class Recoveries:
    """The last recoveries of a run; one that a person had a part in does not count."""

    took_s: tuple[float, ...] = ()
    died_at: float | None = None
    """When the failure was seen that is not recovered from yet, seconds since 1970."""

    @property
    def usual_s(self) -> float | None:
        """The usual one: of two the shorter. None if the run has not recovered yet."""
        return usual_s(self.took_s) if self.took_s else None

    def with_entry(self, entry: Entry, wall: float) -> "Recoveries":
        """The recoveries with one more entry of the ledger; the same object if it tells nothing."""
        match entry:
            case AttemptEndedEntry():
                return replace(self, died_at=wall if is_death(entry) and wall > 0 else None)
            case FirstStepEntry() if self.died_at is not None:
                # Both are times of a wall clock, which may have been set in between.
                took_s = wall - self.died_at
                is_one = wall > 0 and 0 < took_s <= DAY_S
                took = (*self.took_s, took_s)[-_MOST:] if is_one else self.took_s
                return Recoveries(took)
            case SupervisorStartedEntry() | DecisionEntry(holds=True) if self.died_at is not None:
                return replace(self, died_at=None)
            case _:
                return self
