"""The vocabulary of a run: on record, in `status.json`, between processes, as exit codes.

Every part imports them from here, the launcher and `supervisor.checkpoint` too: nothing but `enum`
and what the worker defines may be imported.
"""

from enum import Enum, IntEnum, StrEnum, auto

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


class _Word(StrEnum):
    """A word that is read from records. A word that another version wrote is kept unchanged."""

    @classmethod
    def _missing_(cls, value: object) -> "_Word":
        word = str.__new__(cls, value)
        word._name_ = word._value_ = str(word)
        return word


class Nature(Enum):
    """The kinds of failure that decisions tell apart."""

    ORDINARY = auto()
    """The attempt was finished, or was asked to end."""
    CUT_OFF = auto()
    """The process was cut off: a file that it was writing may be torn."""
    DEVICES = auto()
    """A GPU or a link between GPUs failed. Every rank may report it, not only the first."""
    OTHER = auto()


class Failure(_Word):
    """How an attempt ended (`failure` in `--json` output)."""

    COMPLETED = "completed"
    PREEMPTED = "preempted"
    TIME_LIMIT = "time_limit"
    CANCELLED = "cancelled"
    STOPPED_BY_USER = "stopped_by_user"
    NCCL_TIMEOUT = "nccl_timeout"
    NCCL_NETWORK = "nccl_network"
    RENDEZVOUS = "rendezvous"
    CUDA_OUT_OF_MEMORY = "cuda_out_of_memory"
    CUDA_FAULT = "cuda_fault"
    CUDA_DEVICE_ASSERT = "cuda_device_assert"
    GPU_ECC = "gpu_ecc"
    GPU_LOST = "gpu_lost"
    GPU_UNAVAILABLE = "gpu_unavailable"
    GPU_NEEDS_RESET = "gpu_needs_reset"
    NVLINK = "nvlink"
    HOST_OUT_OF_MEMORY = "host_out_of_memory"
    SHARED_MEMORY_EXHAUSTED = "shared_memory_exhausted"
    DATALOADER_WORKER_DIED = "dataloader_worker_died"
    TOO_MANY_OPEN_FILES = "too_many_open_files"
    NON_FINITE_LOSS = "non_finite_loss"
    LOSS_SPIKE = "loss_spike"
    DISK_FULL = "disk_full"
    FILESYSTEM = "filesystem"
    CHECKPOINT_CORRUPT = "checkpoint_corrupt"
    CHECKPOINT_MISMATCH = "checkpoint_mismatch"
    """The checkpoint reads well, and does not fit the model or the number of ranks."""
    DATA_CORRUPT = "data_corrupt"
    """Training data that cannot be read."""
    CONFIGURATION = "configuration"
    INCOMPATIBLE_SOFTWARE = "incompatible_software"
    """Libraries, the driver and the GPU do not fit together."""
    BUILD_FAILED = "build_failed"
    """A compiler failed: torch's inductor, Triton, ninja, nvcc, gcc."""
    ACCESS_DENIED = "access_denied"
    """A hub or service refuses: a gated repository, a missing or wrong key."""
    DOWNLOAD_FAILED = "download_failed"
    EXCEPTION = "exception"
    SEGFAULT = "segfault"
    ABORTED = "aborted"
    KILLED = "killed"
    HANG = "hang"
    STUCK = "stuck"
    CHECKPOINTS_MISSING = "checkpoints_missing"
    """Valid checkpoints are on record, and not on the disk."""
    CHECKPOINTS_UNSEEN = "checkpoints_unseen"
    """The trainer saves where the supervisor does not look."""
    RESUME_IGNORED = "resume_ignored"
    """The trainer was told to go on from a checkpoint, and began from nothing."""
    UNKNOWN = "unknown"

    @property
    def known(self) -> "Failure":
        """The member to decide by: UNKNOWN stands for a word of another version."""
        return self if self in Failure.__members__.values() else Failure.UNKNOWN

    @property
    def nature(self) -> Nature:
        """The kind of this failure. No `case _`: mypy reports a new member without a kind."""
        match self.known:
            case (
                Failure.COMPLETED
                | Failure.PREEMPTED
                | Failure.TIME_LIMIT
                | Failure.CANCELLED
                | Failure.STOPPED_BY_USER
            ):
                return Nature.ORDINARY
            case (
                Failure.KILLED
                | Failure.HANG
                | Failure.HOST_OUT_OF_MEMORY
                | Failure.SEGFAULT
                | Failure.ABORTED
            ):
                return Nature.CUT_OFF
            case (
                Failure.CUDA_DEVICE_ASSERT
                | Failure.CUDA_FAULT
                | Failure.CUDA_OUT_OF_MEMORY
                | Failure.GPU_ECC
                | Failure.GPU_LOST
                | Failure.GPU_NEEDS_RESET
                | Failure.GPU_UNAVAILABLE
                | Failure.NCCL_NETWORK
                | Failure.NCCL_TIMEOUT
                | Failure.NVLINK
                | Failure.RENDEZVOUS
            ):
                return Nature.DEVICES
            case (
                Failure.SHARED_MEMORY_EXHAUSTED
                | Failure.DATALOADER_WORKER_DIED
                | Failure.TOO_MANY_OPEN_FILES
                | Failure.NON_FINITE_LOSS
                | Failure.LOSS_SPIKE
                | Failure.DISK_FULL
                | Failure.FILESYSTEM
                | Failure.CHECKPOINT_CORRUPT
                | Failure.CHECKPOINT_MISMATCH
                | Failure.DATA_CORRUPT
                | Failure.INCOMPATIBLE_SOFTWARE
                | Failure.BUILD_FAILED
                | Failure.ACCESS_DENIED
                | Failure.DOWNLOAD_FAILED
                | Failure.CHECKPOINTS_MISSING
                | Failure.CHECKPOINTS_UNSEEN
                | Failure.RESUME_IGNORED
                | Failure.CONFIGURATION
                | Failure.EXCEPTION
                | Failure.STUCK
                | Failure.UNKNOWN
            ):
                return Nature.OTHER


class Relaunch(Enum):
    """What an action says about the next launch."""

    AT_ONCE = auto()
    AFTER_A_PAUSE = auto()
    BY_A_HUMAN = auto()
    """Launching again is of no use before a person has acted."""
    LATER = auto()
    """The supervisor launches nothing more: the user or the scheduler may run it again."""


class Action(_Word):
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


class StopSource(_Word):
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


class Tier(_Word):
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
