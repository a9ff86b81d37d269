"""What shells, launchers and interpreters print about the end of a process, without a reason."""

from supervisor.core.vocabulary import Action, ExitCode, Failure
from supervisor.diagnosis.rules.rule import Rule, Weight

_ELASTIC = "pytorch/pytorch, torch/distributed/elastic/multiprocessing/api.py"
_CONTRACT = "supervisor/worker/contract.py, as torchrun prints it"

CASCADE: tuple[Rule, ...] = tuple(
    Rule(
        (needle,),
        regex,
        Failure.UNKNOWN,
        Action.RESTART,
        Weight.CASCADE,
        example=example,
        source=source,
    )
    for needle, regex, example, source in (
        (
            "taking the entire process down",
            r"taking the entire process down",
            "[Rank 1] To avoid data inconsistency, we are taking the entire process down.",
            "pytorch/pytorch#97066",
        ),
        (
            "entire process down",
            r"take the entire process down|bring(?:ing)? the entire process down",
            "we will take the entire process down",
            "no public line found; the first rule's words in another tense",
        ),
        (
            "might run on corrupted",
            r"subsequent gpu operations might run on corrupted",
            "Some NCCL operations have failed or timed out. Due to the"
            " asynchronous nature of CUDA kernels, subsequent GPU operations might run on"
            " corrupted/incomplete data.",
            "pytorch/pytorch#97066",
        ),
        (
            "forcefully exiting via",
            r"unable to shutdown process \d+ via",
            "Unable to shutdown process 719 via Signals.SIGTERM, forcefully"
            " exiting via Signals.SIGKILL",
            _ELASTIC,
        ),
        (
            "closing signal",
            r"sending process \d+ closing signal",
            "Sending process 962450 closing signal SIGTERM",
            _ELASTIC,
        ),
        (
            "exitcode: ",
            r"elastic.{0,60}failed \(exitcode: 1\)",
            "torch/distributed/elastic/multiprocessing/api.py:882] failed"
            " (exitcode: 1) local_rank: 2 (pid: 435) of binary: /env/bin/python",
            _ELASTIC,
        ),
        (
            "simplifiedtraceback",
            r"\b(?:SimplifiedTraceback|UnfilteredStackTrace)\b",
            "jax.errors.SimplifiedTraceback: For simplicity, JAX has removed its internal frames",
            "jax-ml/jax, jax/_src/traceback_util.py",
        ),
        (
            "signalexception",
            r"\bSignalException\b(?!.{0,60}got signal: (?:2|15)\b)",
            "torch.distributed.elastic.multiprocessing.api.SignalException: Process 9 got signal:"
            " 1",
            _ELASTIC,
        ),
    )
)

WRAPPERS: tuple[Rule, ...] = tuple(
    Rule(
        (needle,), regex, Failure.EXCEPTION, Action.RESTART, weight, example=example, source=source
    )
    for needle, regex, weight, example, source in (
        (
            "childfailederror",
            r"\bChildFailedError\b",
            Weight.WRAPPER,
            "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ",
            "pytorch/pytorch, torch/distributed/elastic/multiprocessing/errors/__init__.py",
        ),
        (
            "processraisedexception",
            r"\bProcess(?:Raised|Exited)Exception\b",
            Weight.WRAPPER,
            "torch.multiprocessing.spawn.ProcessRaisedException: ",
            "pytorch/pytorch, torch/multiprocessing/spawn.py",
        ),
        (
            "calledprocesserror",
            r"\bCalledProcessError\b",
            Weight.WRAPPER,
            "subprocess.CalledProcessError: Command '['python', 't.py']' returned non-zero exit"
            " status 1.",
            "python/cpython, Lib/subprocess.py",
        ),
        (
            "died",
            r"\b(?:ActorDied|WorkerCrashed|RayActor|ActorUnavailable|NodeDied)Error\b",
            Weight.DEATH,
            "ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this"
            " task.",
            "ray-project/ray, python/ray/exceptions.py",
        ),
        (
            "raytaskerror",
            r"\bRayTaskError\b|\bTrainingFailedError\b|\bTuneError\b",
            Weight.WRAPPER,
            "ray.exceptions.RayTaskError: ray::inner() (pid=9)",
            "ray-project/ray, python/ray/exceptions.py",
        ),
        # DCP wraps the errors of all ranks in this exception. Their own tracebacks follow it.
        (
            "checkpointexception",
            r"\bCheckpointException\b",
            Weight.WRAPPER,
            "torch.distributed.checkpoint.api.CheckpointException: CheckpointException ranks:",
            "pytorch/pytorch, torch/distributed/checkpoint/api.py",
        ),
    )
)

# torchrun ends the other ranks itself. The rank that it lists as the root cause died before that.
FIRST_DEATH_HEADER = "Root Cause (first observed failure)"
FIRST_DEATHS = {
    -9: (Failure.KILLED, Action.RESTART),
    -11: (Failure.SEGFAULT, Action.RESTART),
    -7: (Failure.SEGFAULT, Action.RESTART),
    ExitCode.PREEMPTED: (Failure.PREEMPTED, Action.RESTART),
    ExitCode.CONFIGURATION: (Failure.CONFIGURATION, Action.HOLD),
}

DEATHS: tuple[Rule, ...] = (
    Rule(
        (
            "segmentation fault",
            "sigsegv",
            "exitcode: -11",
            "code = -11",
            "code: -11",
            "segfault at",
        ),
        r"\bsegmentation fault\b|\bSIGSEGV\b|\b(?:exit|return )code ?[:=] -11\b"
        r"|\bsegfault at [0-9a-f]",
        Failure.SEGFAULT,
        Action.RESTART,
        Weight.DEATH,
        unless=r"\bFatal Python error: Aborted\b|worker process has died|root causes?"
        r"|common causes",
        example="train.sh: line 3: 4812 Segmentation fault      (core dumped) python train.py",
        source="GNU bash, jobs.c",
    ),
    Rule(
        (
            "double free",
            "free():",
            "malloc():",
            "munmap_chunk():",
            "double-linked list",
            "stack smashing",
            "corrupted size",
            "assertion `",
            "check failed: ",
        ),
        r"double free (?:or corruption|detected)"
        r"|\bfree\(\): invalid|\bmalloc\(\): |\bmunmap_chunk\(\): |corrupted double-linked list"
        r"|stack smashing detected|corrupted size vs|^F\d{0,4} .{0,200}\] check failed: "
        r"|: assertion `.{0,300}' failed",
        Failure.ABORTED,
        Action.RESTART,
        Weight.DEATH,
        unless=r"\.cuh?:\d",
        example="*** stack smashing detected ***: terminated",
        source="glibc, debug/fortify_fail.c",
    ),
    Rule(
        (
            "aborted",
            "sigabrt",
            "exitcode: -6",
            "exitcode  : -6",
            "terminate called after",
            "terminate called without",
            "illegal instruction",
            "floating point exception",
        ),
        r"\baborted(?: \(core dumped\)|$)|\bSIGABRT\b|\bexitcode {0,3}: -6\b"
        r"|\bterminate called (?:after throwing|without an active)"
        r"|\b(?:Illegal instruction|Floating point exception)\b(?: {1,9}\(core dumped\)|$)",
        Failure.ABORTED,
        Action.RESTART,
        Weight.ABORT,
        example="torch/distributed/elastic/multiprocessing/api.py:882] failed"
        " (exitcode: -6) local_rank: 2 (pid: 434) of binary: /env/bin/python",
        source=_ELASTIC,
    ),
    Rule(
        ("sigbus", "bus error", "exitcode: -7", "exitcode  : -7"),
        r"\bSIGBUS\b|\bbus error\b|\bexitcode {0,3}: -7\b",
        Failure.SEGFAULT,
        Action.RESTART,
        Weight.DEATH,
        example="train.sh: line 9: 812 Bus error               (core dumped) python train.py",
        source="GNU bash, jobs.c",
    ),
    Rule(
        ("killed", "sigkill", "exitcode: -9", "code = -9", "code -9", "code: -9", "137"),
        r"^killed$|: line \d+: +\d+ killed\b|task \d+: killed\b|\bsignal 9 \(sigkill\) received by"
        r"|terminated with signal sigkill|<signals\.sigkill: 9>"
        r"|\bkilled by signal: 9\b|\b(?:exit|return )code ?[:=]? ?-9\b"
        r"|\bterminated with (?:exit )?code -9\b"
        r"|\bterminated with exit code 137\b|\bexitcode {0,3}: 137\b",
        Failure.KILLED,
        Action.RESTART,
        Weight.DEATH,
        unless=r"root causes?|common causes",
        example="[rank: 1] Child process with PID 812 terminated with code -9."
        " Forcefully terminating all other processes to avoid zombies",
        source="Lightning-AI/pytorch-lightning,"
        " src/lightning/fabric/strategies/launchers/subprocess_script.py",
    ),
    Rule(
        ("node has died", "has been marked dead"),
        r"\bactor died because its node has died|\bThe node with node id: \S{1,80} .{0,200}"
        r"\bhas been marked dead because",
        Failure.KILLED,
        Action.RESTART,
        Weight.FIRST_DEATH,
        example="The actor died because its node has died. Node Id: 3b1c1a7f0b1e3b1a3d7fbb0e0d3b",
        source="ray-project/ray, python/ray/exceptions.py",
    ),
    Rule(
        ("exitcode  : 78", "exitcode: 78"),
        r"\bexitcode {0,3}: 78\b",
        Failure.CONFIGURATION,
        Action.HOLD,
        Weight.DEATH,
        example="  exitcode  : 78 (pid: 962449)",
        source=_CONTRACT,
    ),
    Rule(
        ("exitcode  : 75", "exitcode: 75"),
        r"\bexitcode {0,3}: 75\b",
        Failure.PREEMPTED,
        Action.RESTART,
        Weight.DEATH,
        example="  exitcode  : 75 (pid: 962449)",
        source=_CONTRACT,
    ),
    Rule(
        ("got signal: 2", "received 2 death signal", "detected keyboardinterrupt"),
        r"\bSignalException\b.{0,80}\bgot signal: 2\b|\bReceived 2 death signal\b"
        r"|\bDetected KeyboardInterrupt, attempting graceful shutdown",
        Failure.STOPPED_BY_USER,
        Action.NONE,
        Weight.DEATH,
        example="Detected KeyboardInterrupt, attempting graceful shutdown ...",
        source="Lightning-AI/pytorch-lightning, src/lightning/pytorch/trainer/call.py",
    ),
    Rule(
        ("keyboardinterrupt",),
        r"^KeyboardInterrupt\b",
        Failure.STOPPED_BY_USER,
        Action.NONE,
        Weight.DEATH,
        example="KeyboardInterrupt",
        source="python/cpython, Modules/signalmodule.c",
    ),
    Rule(
        ("got signal: 15", "received 15 death signal"),
        r"\bSignalException\b.{0,80}\bgot signal: 15\b|\bReceived 15 death signal\b",
        Failure.UNKNOWN,
        Action.RESTART,
        Weight.DEATH,
        example="torch.distributed.elastic.multiprocessing.api.SignalException: Process 1359 got"
        " signal: 15",
        source=_ELASTIC,
    ),
)
