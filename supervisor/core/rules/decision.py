"""What a survey of the checkpoints leads to, as a value: a verdict and its grounds."""

from dataclasses import dataclass
from enum import StrEnum

from supervisor.core.ending import Doubt
from supervisor.core.rules.exit_codes import ExitRule
from supervisor.core.states import Budget, Checkpoint
from supervisor.core.vocabulary import Action, ExitCode, Failure


class Verdict(StrEnum):
    """What a survey leads to."""

    LAUNCH = "launch"
    BACKOFF = "backoff"
    WAIT = "wait"
    HOLD = "hold"
    FINISHED = "finished"
    PREEMPTED = "preempted"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict with its grounds, and what follows from it."""

    verdict: Verdict
    failure: Failure | None
    action: Action
    reason: str
    budget: Budget
    wait_s: float | None = None
    checkpoint: Checkpoint | None = None
    later: tuple[str, ...] = ()
    saved: bool | None = None
    exit_code: ExitCode = ExitCode.HELD
    doubt: Doubt | None = None
    """Why an exit with 0 is not taken for the end of training."""
    place: str | None = None
    """The directory that the run waits for room in. None: the checkpoint directory."""
    ended_training: bool | None = None
    """The failure came in training: after a first step and before the last one."""
    may_be_brought: bool = False
    """A checkpoint is missing that the hook `before_launch` may bring."""
    exit_rule: ExitRule | None = None
    """What `restart.exit_codes` says of the end. None: it says nothing, or was not asked."""
