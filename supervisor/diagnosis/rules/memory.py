"""What the kernel, schedulers and allocators print when memory or descriptors run out."""

from supervisor.core.ending import Advice
from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.rules.rule import Rule, Weight
from supervisor.diagnosis.rules.scheduler import OUTLASTS_STEPS

MEMORY: tuple[Rule, ...] = (
    Rule(
        (
            "oom_kill event",
            "oom-kill event",
            "oom-kill:",
            "oom-killer",
            "out of memory: killed process",
            "out of memory: kill process",
            "oom killed",
            "by the oom killer",
            "out of memory",
            "exceeded job memory limit",
            "exceeded step memory limit",
        ),
        r"detected [1-9]\d* oom[_-]kill events?|\boom-kill:constraint|invoked oom-killer"
        r"|\bout of memory: kill(?:ed)? process \d|have been oom killed"
        r"|^\S{1,120}: A process of this unit has been killed by the OOM killer"
        r"|task \d+: out of memory|exceeded (?:job|step) memory limit",
        Failure.HOST_OUT_OF_MEMORY,
        Action.RESTART,
        Weight.STATED,
        example="slurmstepd: error: Detected 1 oom_kill event in StepId=1130.0. Some of the step"
        " tasks have been OOM Killed.",
        source="nextflow-io/nextflow#5932",
        outlasts=OUTLASTS_STEPS,
        names_killer=True,
    ),
    Rule(
        ("memory monitor", "memoryerror: task was killed", "outofmemoryerror", "memory pressure"),
        r"\bkilled (?:by|due to) (?:the )?(?:ray )?(?:memory monitor"
        r"|the node running low on memory)"
        r"|\bTask was killed due to the node running low on memory"
        r"|workers? \(?.{0,80}\bkilled due to memory pressure \(OOM\)",
        Failure.HOST_OUT_OF_MEMORY,
        Action.RESTART,
        Weight.STATED,
        unless=r"^0 ",
        example="ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on"
        " memory.",
        source="real-stanford/flingbot#11",
        outlasts=3,
        names_killer=True,
    ),
    Rule(
        (
            "bus error",
            "unable to write to file",
            "/dev/shm",
            "shared memory",
            "posix_fallocate failed",
            "</torch_",
        ),
        r"bus error encountered in worker|worker .{0,60}killed by signal: bus error"
        r"|unable to (?:write to|resize|allocate|mmap|create).{0,200}(?:/torch_|shared memory|"
        r"/dev/shm).{0,300}(?:no space left|cannot allocate|temporarily unavailable)"
        r"|\bfailed to (?:extend|open|allocate) /dev/shm/"
        r"|\bconfigured object store size .{0,60}exceeds /dev/shm size"
        r"|/dev/shm/.{0,200}no space left|no space left.{0,200}/dev/shm"
        r"|error while creating shared memory segment|posix_fallocate failed ?: no space left"
        r"|insufficient shared memory",
        Failure.SHARED_MEMORY_EXHAUSTED,
        Action.HOLD,
        example="ERROR: Unexpected bus error encountered in worker. This might be caused by"
        " insufficient shared memory (shm).",
        source="pytorch/pytorch, torch/csrc/DataLoader.cpp",
        advice=Advice(
            "Give the container more shared memory (docker: --shm-size), or use fewer workers.",
            "df -h /dev/shm",
        ),
    ),
    Rule(
        ("too many open files", "unable to open shared memory object", "items of ancdata"),
        r"too many open files|unable to open shared memory object|received 0 items of ancdata",
        Failure.TOO_MANY_OPEN_FILES,
        Action.RESTART,
        example="OSError: [Errno 24] Too many open files: '/data/shard-0031.tar'",
        source="facebookresearch/maskrcnn-benchmark#158",
        advice=Advice(
            "Raise the limit of open files, or set torch's sharing strategy to file_system.",
            "ulimit -n",
        ),
    ),
    Rule(
        ("resource temporarily unavailable", "can't start new thread", "thread creation failed"),
        r"^RuntimeError: can't start new thread|thread creation failed"
        r"|\bfork: (?:retry: )?resource temporarily unavailable",
        Failure.ABORTED,
        Action.RESTART,
        Weight.DEATH,
        example="libgomp: Thread creation failed: Resource temporarily unavailable",
        source="Alexander-H-Liu/End-to-end-ASR-Pytorch#50",
        advice=Advice("The limit of processes and threads is reached: raise it.", "ulimit -u"),
    ),
    Rule(
        (
            "memoryerror",
            "can't allocate memory",
            "cannot allocate memory",
            "not enough memory",
            "std::bad_alloc",
            "insufficient memory",
        ),
        r"^(?:\w+\.)*_?(?:Array|Arrow)?MemoryError\b|defaultcpuallocator: (?:can't|not enough)"
        r"|\bcannot allocate memory\b|not enough memory: you tried to allocate|std::bad_alloc"
        r"|\(-4:Insufficient memory\)",
        Failure.HOST_OUT_OF_MEMORY,
        Action.RESTART,
        unless=r"\bibv_",
        example="numpy._core._exceptions._ArrayMemoryError: Unable to allocate"
        " 8.00 GiB for an array with shape (1073741824,) and data type float64",
        source="numpy/numpy, numpy/_core/_exceptions.py",
    ),
    Rule(
        ("by signal: segmentation fault",),
        r"dataloader worker \(pid(?:\(s\))? [\d, ]{1,80}\) is killed by signal: segmentation fault",
        Failure.SEGFAULT,
        Action.RESTART,
        Weight.CONSEQUENCE,
        example="RuntimeError: DataLoader worker (pid 5512) is killed by signal: Segmentation"
        " fault.",
        source="pytorch/pytorch, torch/csrc/DataLoader.cpp",
    ),
    Rule(
        (
            "dataloader worker",
            "pin memory thread exited",
            "background workers",
            "(fatal) ",
            "abort event was set",
            "brokenprocesspool",
            "terminatedworkererror",
        ),
        r"dataloader worker \(pid(?:\(s\))? [\d, ]{1,80}\) "
        r"(?:is killed by signal|exited unexpectedly)"
        r"|pin memory thread exited unexpectedly|background workers are no longer alive"
        r"|^RuntimeError: Abort event was set\. So someone died"
        r"|^(?:\w+\.)*(?:BrokenProcessPool|TerminatedWorkerError)\b"
        r"|^SystemError: \(Fatal\) (?:DataLoader process|Blocking queue is killed)",
        Failure.DATALOADER_WORKER_DIED,
        Action.RESTART,
        Weight.CONSEQUENCE,
        example="RuntimeError: DataLoader worker (pid 13904) is killed by signal: Killed.",
        source="pytorch/pytorch, torch/csrc/DataLoader.cpp",
    ),
)
