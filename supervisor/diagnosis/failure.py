"""The vocabulary of endings, and the records that go into and come out of a diagnosis.

The pure core imports these names: standard library only, no I/O, no regular expressions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Failure(StrEnum):
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


class Action(StrEnum):
    """What is to be done about it (`action` in `--json` output)."""

    RESTART = "restart"
    BACKOFF = "backoff"
    ROLLBACK = "rollback"
    HOLD = "hold"
    EXCLUDE = "exclude"
    RESUME_LATER = "resume_later"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Ending:
    """All that is known about the end of one attempt; what is not known is None or empty.

    `lines` are the attempt's last log lines, oldest first; `kernel_lines` those of the kernel log
    since the attempt began, about this machine. `start_errno` is set when it could not be started.
    """

    code: int | None
    signal: int | None
    lines: Sequence[str] = ()
    first_step_seen: bool = False
    step: int | None = None
    oom_kill_delta: int | None = None
    free_bytes: int | None = None
    kernel_lines: Sequence[str] = ()
    start_errno: int | None = None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why an attempt ended, what to do, and the lines that decided it.

    `exception` and `frame` ("file.py:function", innermost, without directories) are the same on
    every machine and in every attempt: with the step they make the signature of a death.
    `loads_checkpoint`: it failed while it loaded a checkpoint; None where no calls are known.
    """

    failure: Failure
    action: Action
    exception: str | None
    frame: str | None
    evidence: tuple[str, ...]
    reason: str
    loads_checkpoint: bool | None = None
