"""Entries of what was decided, by the supervisor and by people."""

from dataclasses import dataclass
from typing import Any

from supervisor.core.entries.entry import Entry
from supervisor.core.json_object import left_out
from supervisor.core.vocabulary import Action, Failure, Intent, RunState, StopSource


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionEntry(Entry, kind="decision"):
    """Where the run goes from here, and why."""

    state: RunState | str | None = None
    failure: Failure | None = None
    action: Action | None = None
    reason: str | None = None
    wait_s: float | None = None
    place: str | None = None
    """Where room on a disk is waited for; null: in the checkpoint directory."""
    checkpoint: Any = None
    goodput: float | None = None
    intent_id: str | None = None
    """Of `intent.json` at the time: a `resume` has another."""

    @property
    def holds(self) -> bool:
        """Whether a human has to look."""
        return self.state in {RunState.HELD, RunState.STUCK}


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequestedEntry(Entry, kind="stop_requested"):
    """A stop was asked for."""

    by: StopSource
    """A signal's name, or `intent`."""
    asked_wall: float | None = left_out(None)
    """When, seconds since 1970: files written later were saved after it."""
    late: bool = left_out(False)
    """True where the attempt had ended by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspendedEntry(Entry, kind="suspended"):
    """The machine, the daemon or the launcher was suspended during a stop."""

    gap_s: float | None = None
    """For how long. The grace is longer by this time, but ends with the SLURM job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentEntry(Entry, kind="intent"):
    """The operator's intent is heard."""

    intent: Intent | str | None = None
    """`run`, `stop`, `hold`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumedEntry(Entry, kind="resumed"):
    """By `supervisor resume`: a held run may go on."""

    intent_id: str | None = None
    """Of `intent.json`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReopenedEntry(Entry, kind="reopened"):
    """By `run --again`: a finished run trains on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingDecidedEntry(Entry, kind="existing_decided"):
    """By `run --existing`, or its question: what to do with checkpoints from before the run."""

    choice: str
    """`use` or `ignore`, as `resume.existing`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginAgainEntry(Entry, kind="begin_again"):
    """By `run --from-nothing`: what is missing is given up, and steps count anew."""
