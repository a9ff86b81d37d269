"""The words in which a run is told: on record, in `status.json`, between processes, as exit codes.

Every part imports them from here, the launcher and `supervisor.checkpoint` too: nothing but `enum`
and what the worker defines may be imported.
"""

from enum import IntEnum, StrEnum

from supervisor.worker_contract import EXIT_CONFIGURATION, EXIT_PREEMPTED, Phase

__all__ = ["TERMINAL", "Action", "ExitCode", "Failure", "Phase", "RunState", "Tier"]


class _Word(StrEnum):
    """A word that is read from records: one of another version stays as it stands there."""

    @classmethod
    def _missing_(cls, value: object) -> "_Word":
        word = str.__new__(cls, value)
        word._name_ = word._value_ = str(word)
        return word


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
    CONFIGURATION = "configuration"
    EXCEPTION = "exception"
    SEGFAULT = "segfault"
    ABORTED = "aborted"
    KILLED = "killed"
    HANG = "hang"
    STUCK = "stuck"
    UNKNOWN = "unknown"


class Action(_Word):
    """What is to be done about it (`action` in `--json` output)."""

    RESTART = "restart"
    BACKOFF = "backoff"
    ROLLBACK = "rollback"
    HOLD = "hold"
    EXCLUDE = "exclude"
    RESUME_LATER = "resume_later"
    NONE = "none"


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
    """Who asked for a stop (`by` on record). Signals that are not named here are words as well."""

    INTENT = "intent"
    SIGINT = "SIGINT"
    SIGTERM = "SIGTERM"
    SIGUSR1 = "SIGUSR1"
    SLURM = "SLURM"
    LAUNCHER_DEATH = "the launcher's death"
    EARLIER = "an earlier request"
    """A daemon before this one had the attempt stopped, and nobody recorded for whom."""

    @property
    def is_user(self) -> bool:
        """Whether a person asked, and nothing goes on by itself."""
        return self in (StopSource.INTENT, StopSource.SIGINT)

    @property
    def shown(self) -> str:
        """In the words that were typed, for people."""
        return "`supervisor stop`" if self is StopSource.INTENT else self.value


class Tier(_Word):
    """Where a checkpoint is: what is in memory is resumed from, but is no durable progress."""

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
