"""How an attempt can end: the failure names, and the kinds that decisions tell apart.

As the rest of the vocabulary it is imported everywhere, so it imports nothing but `enum`.
"""

from enum import Enum, auto

from supervisor.core.recorded_word import RecordedWord


class Nature(Enum):
    """The kinds of failure that decisions tell apart."""

    ORDINARY = auto()
    """The attempt was finished, or was asked to end."""
    CUT_OFF = auto()
    """The process was cut off: a file that it was writing may be torn."""
    DEVICES = auto()
    """A GPU or a link between GPUs failed. Every rank may report it, not only the first."""
    OTHER = auto()


class Failure(RecordedWord):
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
    LAUNCH_REFUSED = "launch_refused"
    """The user's hook `before_launch` refuses the next launch."""
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
                | Failure.LAUNCH_REFUSED
                | Failure.RESUME_IGNORED
                | Failure.CONFIGURATION
                | Failure.EXCEPTION
                | Failure.STUCK
                | Failure.UNKNOWN
            ):
                return Nature.OTHER
