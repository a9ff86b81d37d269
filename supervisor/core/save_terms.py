"""What the supervisor and a trainer tell each other of the time between saves.

The supervisor knows how often the run failed, the trainer what its saves cost. Both are needed for
`checkpoints: {interval: auto}`.
"""

from dataclasses import dataclass, replace

from supervisor.core.rules.save_interval import (
    LEAST_S,
    LONGEST_S,
    RECOVERY_S,
    SAVE_MOST_S,
    mean_time_to_failure_s,
    within,
)

SAVE_TERMS = "SUPERVISOR_SAVE_INTERVAL"
"""The variable that holds a `SaveTerms` as JSON, where the interval is to be found by itself."""
SAVES_TOLD = "saves.json"
"""The file in the heartbeat directory that holds a `SavesTold` as JSON."""
_INTERVAL_MOST_S = 1e9
_NODES_MOST = 1_000_000


def sane_save_s(save_s: float | None) -> float | None:
    """How long a save takes, if it can be; None where it cannot."""
    return min(save_s, SAVE_MOST_S) if save_s is not None and save_s > 0 else None


def sane_interval_s(interval_s: float | None) -> float | None:
    """An interval, if it can be; None where it cannot."""
    return min(interval_s, _INTERVAL_MOST_S) if interval_s is not None and interval_s > 0 else None


@dataclass(frozen=True, slots=True)
class SaveTerms:
    """What a trainer needs besides the cost of its saves. The defaults are for a new run."""

    min_s: float = LEAST_S
    """The shortest interval."""
    max_s: float = LONGEST_S
    """The longest interval."""
    failures: int = 0
    """How often the run has failed so far."""
    trained_s: float = 0.0
    """How long it has trained so far."""
    recovery_s: float = RECOVERY_S
    """From a failure to the first new step."""
    save_s: float | None = None
    """How long its saves held training up so far. None: not known."""
    interval_s: float | None = None
    """The longest interval to begin with: only saves make it longer. None: `min_s`."""

    def mttf_s(self, more_s: float = 0.0, nodes: int = 1) -> float:
        """The mean time to failure, once the run has trained so much longer."""
        return mean_time_to_failure_s(self.failures, self.trained_s + more_s, nodes)

    def sane(self) -> "SaveTerms":
        """The same without numbers that cannot be: no loop may end because of them."""
        min_s = sane_interval_s(self.min_s) or LEAST_S
        return replace(
            self,
            min_s=min_s,
            max_s=max(sane_interval_s(self.max_s) or LONGEST_S, min_s),
            save_s=sane_save_s(self.save_s),
            interval_s=sane_interval_s(self.interval_s),
        )


@dataclass(frozen=True, slots=True)
class SavesTold:
    """What a `Checkpointer` tells of its saves."""

    attempt: int | None = None
    auto: bool = False
    """Whether it finds the interval by itself."""
    asks: bool = False
    """Whether the loop asks when a save is due. One that calls `save` by itself may never ask."""
    interval_s: float | None = None
    """The interval that it has chosen."""
    save_s: float | None = None
    """How long a save holds training up. None: there was none yet."""
    nodes: int = 1
    """How many machines train: each may fail."""

    def sane(self) -> "SavesTold":
        """The same without numbers that cannot be: any process of the user may have told it."""
        return replace(
            self,
            interval_s=sane_interval_s(self.interval_s),
            save_s=sane_save_s(self.save_s),
            nodes=int(within(self.nodes, _NODES_MOST, least=1)),
        )
