"""What a person can do about each failure, where the rule that named it says nothing closer."""

from supervisor.core.ending import Advice
from supervisor.core.vocabulary import Failure

_LOG = "supervisor logs"
_GPUS = "nvidia-smi"

ADVICE: dict[Failure, Advice] = {
    Failure.NCCL_TIMEOUT: Advice(
        "A rank did not come to a collective: look in the log what each rank did last.", _LOG
    ),
    Failure.NCCL_NETWORK: Advice(
        "The ranks lost their connection: look at the network between the nodes.",
        "NCCL_DEBUG=INFO supervisor run",
    ),
    Failure.RENDEZVOUS: Advice(
        "The ranks did not find each other: look at the address, the port and the other nodes.",
        "ss -ltnp",
    ),
    Failure.CUDA_OUT_OF_MEMORY: Advice(
        "Use a smaller batch or shorter sequences, or look who else uses this GPU.", _GPUS
    ),
    Failure.CUDA_FAULT: Advice(
        "If it comes again at other steps on this GPU alone, suspect the GPU; else the kernel.",
        "CUDA_LAUNCH_BLOCKING=1 supervisor run",
    ),
    Failure.CUDA_DEVICE_ASSERT: Advice(
        "An index is out of range, as a label or token id: run once with blocking launches.",
        "CUDA_LAUNCH_BLOCKING=1 supervisor run",
    ),
    Failure.GPU_ECC: Advice("The GPU's memory is damaged: run on another one.", "nvidia-smi -q"),
    Failure.GPU_LOST: Advice("The driver has lost the GPU: reboot the machine.", _GPUS),
    Failure.GPU_UNAVAILABLE: Advice("Look whether the driver sees the GPU.", _GPUS),
    Failure.GPU_NEEDS_RESET: Advice(
        "End the GPU's processes, then reset it or reboot.", "nvidia-smi --gpu-reset"
    ),
    Failure.NVLINK: Advice(
        "A link between GPUs failed: reset the GPUs or reboot.", "nvidia-smi nvlink -e"
    ),
    Failure.HOST_OUT_OF_MEMORY: Advice(
        "Use fewer data-loader workers or a smaller cache, or ask for more memory.", "free -h"
    ),
    Failure.SHARED_MEMORY_EXHAUSTED: Advice(
        "Give the container more shared memory (docker: --shm-size), or use fewer workers.",
        "df -h /dev/shm",
    ),
    Failure.DATALOADER_WORKER_DIED: Advice(
        "A data-loader worker was killed; mostly memory was short.", "free -h; df -h /dev/shm"
    ),
    Failure.TOO_MANY_OPEN_FILES: Advice("Raise the limit of open files.", "ulimit -n"),
    Failure.NON_FINITE_LOSS: Advice(
        "If it comes back at the same step, look at that batch, the learning rate, the precision."
    ),
    Failure.LOSS_SPIKE: Advice("If it comes back, look at the data and the learning rate there."),
    Failure.DISK_FULL: Advice(
        "Make room, or raise the quota: the run goes on by itself.", "df -h; quota -s"
    ),
    Failure.FILESYSTEM: Advice("Look whether the file system answers.", "df -h; mount"),
    Failure.CHECKPOINT_CORRUPT: Advice(
        "The checkpoint cannot be read, so the run goes back to an older one.",
        "supervisor checkpoints",
    ),
    Failure.CHECKPOINT_MISMATCH: Advice(
        "The checkpoint is of another model or number of ranks: mend the script.",
        "supervisor checkpoints",
    ),
    Failure.DATA_CORRUPT: Advice(
        "A training file cannot be read: check or replace it, or skip damaged records."
    ),
    Failure.CONFIGURATION: Advice("Mend what the message says, then start again.", _LOG),
    Failure.INCOMPATIBLE_SOFTWARE: Advice(
        "Libraries, driver and GPU do not fit together: install versions that do.",
        "python -m torch.utils.collect_env",
    ),
    Failure.BUILD_FAILED: Advice("The compiler's own message says what it misses.", _LOG),
    Failure.ACCESS_DENIED: Advice(
        "The service refuses this user: log in, or ask for access.", "hf auth whoami"
    ),
    Failure.DOWNLOAD_FAILED: Advice(
        "The server does not answer as it should: the run tries again by itself."
    ),
    Failure.SEGFAULT: Advice(
        "If it comes back, a compiled library is at fault: Python's stack names the call.",
        "PYTHONFAULTHANDLER=1 supervisor run",
    ),
    Failure.ABORTED: Advice(
        "If it comes back, a compiled library is at fault: Python's stack names the call.",
        "PYTHONFAULTHANDLER=1 supervisor run",
    ),
    Failure.KILLED: Advice(
        "Something outside killed it; if memory was short, the kernel's log says so.",
        "dmesg -T | tail -50",
    ),
}
