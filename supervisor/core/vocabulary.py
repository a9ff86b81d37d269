"""The vocabulary of a run: on record, in `status.json`, between processes, as exit codes.

Every part imports them from here, the launcher and `supervisor.checkpoint` too: nothing but `enum`
and what the worker defines may be imported.
"""

from enum import Enum, IntEnum, StrEnum, auto

from supervisor.core.failures import Failure, Nature
from supervisor.core.recorded_word import RecordedWord
from supervisor.worker.contract import EXIT_CONFIGURATION, EXIT_PREEMPTED, Phase

__all__ = [
    "TERMINAL",
    "Action",
    "ExitCode",
    "Failure",
    "Intent",
    "Nature",
    "Phase",
    "Relaunch",
    "RunState",
    "StopSource",
    "Tier",
]


class Relaunch(Enum):
    """What an action says about the next launch."""

    AT_ONCE = auto()
    AFTER_A_PAUSE = auto()
    BY_A_HUMAN = auto()
    """Launching again is of no use before a person has acted."""
    LATER = auto()
    """The supervisor launches nothing more: the user or the scheduler may run it again."""


class Action(RecordedWord):
    """What is to be done about a failure (`action` in `--json` output)."""

    RESTART = "restart"
    RESTART_COLD = "restart_cold"
    """Launch a new process at once, uncharged: the warm launch before made no step."""
    BACKOFF = "backoff"
    ROLLBACK = "rollback"
    HOLD = "hold"
    WAIT = "wait"
    """The run waits for a cause that clears by itself. Records say `hold` in state `waiting`."""
    EXCLUDE = "exclude"
    RESUME_LATER = "resume_later"
    NONE = "none"

    @property
    def known(self) -> "Action":
        """The member to decide by: RESTART stands for a word of another version."""
        return self if self in Action.__members__.values() else Action.RESTART

    @property
    def relaunch(self) -> Relaunch:
        """When the next launch comes. No `case _`: mypy reports a new member without an answer."""
        match self.known:
            case Action.RESTART | Action.RESTART_COLD | Action.ROLLBACK:
                return Relaunch.AT_ONCE
            case Action.BACKOFF | Action.WAIT:
                return Relaunch.AFTER_A_PAUSE
            case Action.HOLD | Action.EXCLUDE:
                return Relaunch.BY_A_HUMAN
            case Action.RESUME_LATER | Action.NONE:
                return Relaunch.LATER

    @property
    def needs_human(self) -> bool:
        """Whether launching again is of no use before a person has acted."""
        return self.relaunch is Relaunch.BY_A_HUMAN

    @property
    def told(self) -> "Action":
        """The action as the ledger and `status.json` name it."""
        return Action.HOLD if self is Action.WAIT else self

    @classmethod
    def read(cls, said: object, state: object = None) -> "Action | None":
        """The inverse of `told`; `state` is the state recorded beside it. None where `said` is."""
        if said is None:
            return None
        waits = said == cls.HOLD and state == RunState.WAITING
        return cls.WAIT if waits else cls(str(said))


class RunState(StrEnum):
    """Where a run is (docs/states.md)."""

    LAUNCHING = "launching"
    RUNNING = "running"
    DRAINING = "draining"
    KILLING = "killing"
    BACKOFF = "backoff"
    WAITING = "waiting"
    HELD = "held"
    STUCK = "stuck"
    COMPLETED = "completed"
    PREEMPTED = "preempted"
    STOPPED = "stopped"


TERMINAL = frozenset(
    {RunState.HELD, RunState.STUCK, RunState.COMPLETED, RunState.PREEMPTED, RunState.STOPPED}
)
"""States in which the supervisor has exited."""


class Intent(StrEnum):
    """`run`: go on; `stop`: save and end; `hold`: let the attempt run, launch no other."""

    RUN = "run"
    STOP = "stop"
    HOLD = "hold"


class StopSource(RecordedWord):
    """Who asked for a stop (`by` on record). The names of all other signals are valid as well."""

    INTENT = "intent"
    SIGINT = "SIGINT"
    SIGTERM = "SIGTERM"
    SIGUSR1 = "SIGUSR1"
    SLURM = "SLURM"
    LAUNCHER_DEATH = "the launcher's death"
    EARLIER = "an earlier request"
    """An earlier daemon had the attempt stopped, and no record says who asked for it."""

    @property
    def is_user(self) -> bool:
        """Whether a person asked: the run then goes on only when a person says so."""
        return self in (StopSource.INTENT, StopSource.SIGINT)

    @property
    def shown(self) -> str:
        """The source as people read it: for an intent, the command that was typed."""
        return "`supervisor stop`" if self is StopSource.INTENT else self.value


class Tier(RecordedWord):
    """Where a checkpoint is. One in memory can be resumed from, but is no durable progress."""

    DISK = "disk"
    MEMORY = "memory"
    SET_ASIDE = "set_aside"


class ExitCode(IntEnum):
    """Exit codes of `supervisor` (sysexits.h where a code exists there)."""

    FINISHED = 0
    HELD = 1
    USAGE = 2
    LOCKED = 69
    INTERNAL = 70
    PREEMPTED = EXIT_PREEMPTED
    CONFIGURATION = EXIT_CONFIGURATION
