"""What the kernel, the scheduler, memory, disks and file systems print: rows, special first."""

from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.patterns import LineWeight, Pattern

# A scheduler announces the end, and the trainer trains on until it has saved.
_SCHEDULER_OUTLASTS_STEPS = 100

SCHEDULER: tuple[Pattern, ...] = (
    Pattern(
        ("due to preemption", "due to job requeue"),
        r"CANCELLED AT .{0,60}DUE TO (?:PREEMPTION|JOB REQUEUE)",
        Failure.PREEMPTED,
        Action.RESUME_LATER,
        outlasts=_SCHEDULER_OUTLASTS_STEPS,
        names_killer=True,
    ),
    Pattern(
        ("due to time limit",),
        r"CANCELLED AT .{0,60}DUE TO TIME LIMIT|job .{0,80}due to time limit",
        Failure.TIME_LIMIT,
        Action.RESUME_LATER,
        outlasts=_SCHEDULER_OUTLASTS_STEPS,
        names_killer=True,
    ),
    Pattern(
        ("due to node failure",),
        r"CANCELLED AT .{0,60}DUE TO NODE FAILURE",
        Failure.KILLED,
        Action.RESTART,
        outlasts=_SCHEDULER_OUTLASTS_STEPS,
        names_killer=True,
    ),
    Pattern(
        ("cancelled at ",),
        r"\*\*\* (?:JOB|STEP) \S{1,60} ON \S{1,200} CANCELLED AT (?!.{0,60}DUE TO)",
        Failure.CANCELLED,
        Action.NONE,
        outlasts=_SCHEDULER_OUTLASTS_STEPS,
        names_killer=True,
    ),
)

MEMORY: tuple[Pattern, ...] = (
    Pattern(
        (
            "oom_kill event",
            "oom-kill event",
            "oom-kill:",
            "oom-killer",
            "out of memory: killed process",
            "out of memory: kill process",
            "oom killed",
            "out of memory",
            "exceeded job memory limit",
            "exceeded step memory limit",
        ),
        r"detected [1-9]\d* oom[_-]kill events?|\boom-kill:constraint|invoked oom-killer"
        r"|\bout of memory: kill(?:ed)? process \d|have been oom killed"
        r"|task \d+: out of memory|exceeded (?:job|step) memory limit",
        Failure.HOST_OUT_OF_MEMORY,
        Action.RESTART,
        LineWeight.STATED,
        outlasts=_SCHEDULER_OUTLASTS_STEPS,
        names_killer=True,
    ),
    Pattern(
        (
            "bus error",
            "unable to write to file",
            "/dev/shm",
            "shared memory",
            "posix_fallocate failed",
        ),
        r"bus error encountered in worker|worker .{0,60}killed by signal: bus error"
        r"|unable to (?:write to|resize|allocate|mmap|create).{0,200}(?:/torch_|shared memory|"
        r"/dev/shm).{0,300}(?:no space left|cannot allocate)"
        r"|/dev/shm/.{0,200}no space left|no space left.{0,200}/dev/shm"
        r"|error while creating shared memory segment|posix_fallocate failed ?: no space left"
        r"|insufficient shared memory",
        Failure.SHARED_MEMORY_EXHAUSTED,
        Action.HOLD,
    ),
    Pattern(
        ("too many open files", "unable to open shared memory object", "items of ancdata"),
        r"too many open files|unable to open shared memory object|received 0 items of ancdata",
        Failure.TOO_MANY_OPEN_FILES,
        Action.RESTART,
    ),
    Pattern(
        (
            "memoryerror",
            "can't allocate memory",
            "cannot allocate memory",
            "not enough memory",
            "std::bad_alloc",
        ),
        r"^(?:\w+\.)*_?(?:Array)?MemoryError\b|defaultcpuallocator: (?:can't|not enough)"
        r"|\bcannot allocate memory\b|not enough memory: you tried to allocate|std::bad_alloc",
        Failure.HOST_OUT_OF_MEMORY,
        Action.RESTART,
    ),
    Pattern(
        ("dataloader worker", "pin memory thread exited"),
        r"dataloader worker \(pid(?:\(s\))? [\d, ]{1,80}\) "
        r"(?:is killed by signal|exited unexpectedly)"
        r"|pin memory thread exited unexpectedly",
        Failure.DATALOADER_WORKER_DIED,
        Action.RESTART,
        LineWeight.CONSEQUENCE,
    ),
)

STORAGE: tuple[Pattern, ...] = (
    Pattern(
        (
            "no space left",
            "quota exceeded",
            "errno 28]",
            "errno 122]",
            "code: 28,",
            "not enough space",
        ),
        r"no space left on device|disk quota exceeded|\[errno (?:28|122)\]|\bcode: (?:28|122),"
        r"|\bnot enough space on (?:the )?(?:disk|device)",
        Failure.DISK_FULL,
        Action.HOLD,
    ),
    Pattern(
        ("input/output error", "errno 5]", "code: 5,", "i/o error"),
        r"\binput/output error\b|\[errno 5\]|\bcode: 5, kind|\bblk_update_request: i/o error"
        r"|buffer i/o error on dev",
        Failure.FILESYSTEM,
        Action.BACKOFF,
        full_disk_decides=True,
    ),
    Pattern(
        ("pytorchstreamwriter failed", "file write failed", "unexpected pos "),
        r"pytorchstreamwriter failed|\bfile write failed\b|\bunexpected pos \d{1,20} vs \d",
        Failure.DISK_FULL,
        Action.HOLD,
    ),
    Pattern(
        (
            "file handle",
            "errno 116]",
            "transport endpoint",
            "remote i/o error",
            "read-only file system",
            "structure needs cleaning",
            "errno 107]",
            "errno 121]",
            "errno 108]",
            "errno 70]",
            "errno 30]",
            "errno 112]",
            "errno 126]",
            "errno 127]",
            "errno 117]",
            "required key not available",
            "key has expired",
            "ext4-fs error",
            "errno 110]",
        ),
        r"stale (?:nfs )?file handle|transport endpoint (?:is not connected|shutdown)"
        r"|remote i/o error|read-only file system|structure needs cleaning"
        r"|required key not available|key has expired"
        r"|\[errno (?:116|107|108|121|70|30|112|126|127|117)\]|ext4-fs error \("
        r"|\[errno 110\] connection timed out: '/",
        Failure.FILESYSTEM,
        Action.BACKOFF,
    ),
    # The kernel's complaints about a file server. Clients reconnect, so these lines count less than
    # a cause.
    Pattern(
        ("lustreerror", "not responding", "mount point", "ceph:"),
        r"\bLustreError: |\bnfs: server \S{1,200} not responding|\bceph: .{0,120}hung\b",
        Failure.FILESYSTEM,
        Action.BACKOFF,
        LineWeight.CONSEQUENCE,
    ),
)
