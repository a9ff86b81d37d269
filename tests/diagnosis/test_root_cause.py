"""Which of many lines is the cause: order, survival, peers, evidence from outside the log."""

import pytest

from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.diagnose import diagnose
from supervisor.diagnosis.failure import Diagnosis, ExitEvidence

pytestmark = pytest.mark.timeout(30)

OUT_OF_MEMORY = [
    "Traceback (most recent call last):",
    '  File "/job/train.py", line 88, in step',
    "    loss.backward()",
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 3.00 GiB.",
]
WATCHDOG = (
    "[E0101 ProcessGroupNCCL.cpp:607] Watchdog caught collective operation timeout: WorkNCCL("
    "SeqNum=5) ran for 600010 milliseconds before timing out."
)


def steps(first: int, last: int) -> list[str]:
    """Lines of finished steps."""
    return [f"step {number} | loss 2.{number} | 310 ms" for number in range(first, last + 1)]


def rank(number: int, lines: list[str]) -> list[str]:
    """The lines as torch prints them for a rank."""
    return [f"[rank{number}]: {line}" for line in lines]


def ended(lines: list[str], **known: object) -> Diagnosis:
    """The diagnosis of an attempt that had made steps."""
    facts: dict[str, object] = {"code": 1, "signal": None, "first_step_seen": True, **known}
    return diagnose(ExitEvidence(lines=lines, **facts))  # type: ignore[arg-type]


def test_a_survived_save_failure_does_not_win() -> None:
    """A failed save with later steps is not why the run ended."""
    report = "save failed: OSError: [Errno 28] No space left on device"
    for shape in (
        [report],
        ["ERROR " + report],
        ["WARNING save failed", *OUT_OF_MEMORY[:3], "OSError: [Errno 28] No space left on device"],
    ):
        lines = [*steps(1, 9), *shape, *steps(10, 20), *OUT_OF_MEMORY]
        assert ended(lines).failure is Failure.CUDA_OUT_OF_MEMORY
        assert ended([*steps(1, 9), *shape, *steps(10, 20)]).failure is Failure.UNKNOWN
        assert ended([*steps(1, 9), *shape, *steps(10, 20)], signal=9).failure is Failure.KILLED


def test_a_handled_traceback_in_one_process_yields_to_the_last() -> None:
    """A process that logs on after a traceback has not died of it."""
    handled = [
        "Traceback (most recent call last):",
        '  File "/job/log.py", line 1, in push',
        "    send()",
        "TimeoutError: the tracker did not answer",
    ]
    lines = [*steps(1, 9), *handled, "2025-01-01 10:00:00 INFO saving", *OUT_OF_MEMORY]
    assert ended(lines).failure is Failure.CUDA_OUT_OF_MEMORY


def test_a_full_disk_that_ends_the_run_is_found() -> None:
    """A full disk is the cause if no later step follows its error."""
    found = ended([*steps(1, 9), *OUT_OF_MEMORY[:3], "OSError: [Errno 28] No space left on device"])
    assert (found.failure, found.action, found.frame) == (
        Failure.DISK_FULL,
        Action.HOLD,
        "train.py:step",
    )


@pytest.mark.parametrize(
    "tail",
    [
        [" 12%|#2        | 120/1000 [00:10<01:13, 12.01it/s]"],
        ["wandb: Run summary:", "wandb: train/global_step 120", "wandb: loss 2.1"],
    ],
)
def test_bars_drawn_at_exit_refute_nothing(tail: list[str]) -> None:
    """tqdm and wandb print progress at the interpreter's exit, after the traceback."""
    bars = [
        f" 11%|#1        | {number}/1000 [00:10<01:13, 12.01it/s]" for number in range(110, 119)
    ]
    assert ended([*bars, *OUT_OF_MEMORY, *tail]).failure is Failure.CUDA_OUT_OF_MEMORY


def test_the_earliest_cause_wins_over_what_follows() -> None:
    """One rank runs out of memory first; the others time out, lose their peer and are killed."""
    lines = [
        *steps(1, 9),
        *rank(3, OUT_OF_MEMORY),
        *rank(0, [WATCHDOG]),
        "[rank0]: To avoid data inconsistency, we are taking the entire process down.",
        "ncclRemoteError: A call failed possibly due to a network error",
        "ERROR:torch.distributed.elastic.multiprocessing.api:failed (exitcode: -9) local_rank: 1",
        "Root Cause (first observed failure):",
        "[0]:",
        "  exitcode  : 1 (pid: 4)",
    ]
    found = ended(lines)
    assert (found.failure, found.frame) == (Failure.CUDA_OUT_OF_MEMORY, "train.py:step")


def test_interleaved_ranks_are_told_apart() -> None:
    """Each of two interleaved tracebacks is read whole, and the earlier traceback wins."""
    second = [
        "Traceback (most recent call last):",
        '  File "/job/data.py", line 5, in fetch',
        "    return rows[i]",
        "IndexError: list index out of range",
    ]
    lines = [
        line for pair in zip(rank(1, OUT_OF_MEMORY), rank(0, second), strict=True) for line in pair
    ]
    found = ended([*steps(1, 3), *lines])
    assert (found.failure, found.exception) == (
        Failure.CUDA_OUT_OF_MEMORY,
        "torch.OutOfMemoryError",
    )


def test_a_peers_loss_is_less_than_a_cause_even_when_earlier() -> None:
    """Peers may notice a broken connection before the dying rank has printed its cause."""
    peer = "gpu1:1:2 [0] misc/socket.cc:538 NCCL WARN Net : Connection closed by remote peer gpu2"
    assert ended([*steps(1, 3), peer, *rank(1, OUT_OF_MEMORY)]).failure is (
        Failure.CUDA_OUT_OF_MEMORY
    )
    assert ended([*steps(1, 3), peer]).failure is Failure.NCCL_NETWORK


def test_other_ranks_may_step_on_a_little() -> None:
    """A rank dies; another prints two more steps, and then only sees its peer go."""
    peer = "ncclRemoteError: A call failed possibly due to a network error"
    found = ended([*steps(1, 9), *rank(1, OUT_OF_MEMORY), *steps(10, 11), *rank(0, [peer])])
    assert found.failure is Failure.CUDA_OUT_OF_MEMORY


def test_hardware_is_believed_even_when_it_speaks_late() -> None:
    """A watchdog line comes before the kernel's line about the lost device."""
    xid = "NVRM: Xid (PCI:0000:9a:00): 79, pid=3, GPU has fallen off the bus."
    assert ended([*steps(1, 3), WATCHDOG, xid]).failure is Failure.GPU_LOST
    assert ended([*steps(1, 3), WATCHDOG], kernel_lines=[xid]).failure is Failure.GPU_LOST


def test_the_scheduler_is_believed_while_the_trainer_saves() -> None:
    """Steps go on after slurmstepd's line, and the exit may be anything."""
    word = (
        "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2025-01-01T00:00:00 DUE TO TIME LIMIT ***"
    )
    found = ended([*steps(1, 3), word, *steps(4, 30), *OUT_OF_MEMORY])
    assert found.failure is Failure.TIME_LIMIT


@pytest.mark.parametrize("place", [0, 3], ids=["header", "exception"])
def test_an_exception_behind_a_progress_bar_beats_its_peers_view(place: int) -> None:
    """Rank 0's bar has no newline, so rank 1's traceback goes on in the bar's line."""
    raised = rank(1, [*OUT_OF_MEMORY[:3], "RuntimeError: a row that cannot be read"])
    raised[place] = " 40%|████      | 16/40 [00:01<00:02,  8.75it/s]" + raised[place]
    lost = [
        "Traceback (most recent call last):",
        '  File "/t/graph.py", line 979, in _engine_run_backward',
        "RuntimeError: [/b/gloo/transport/tcp/pair.cc:553] Connection closed by peer [::1]:6544.",
    ]
    bar = " 40%|████      | 16/40 [00:11<00:17,  1.40it/s]"
    found = ended([*steps(1, 3), *raised, *rank(0, lost), bar])
    assert found.failure is Failure.EXCEPTION
    assert "a row that cannot be read" in found.reason


def test_torchruns_first_death_beats_its_peers_view() -> None:
    """The rank that torchrun saw die first was killed; rank 0 only lost its connection."""
    lines = [
        *steps(1, 3),
        "[rank0]: Traceback (most recent call last):",
        '[rank0]:   File "/t/distributed_c10d.py", line 5, in barrier',
        "[rank0]: RuntimeError: [/b/gloo/transport/tcp/pair.cc:5] Connection closed by peer [::1]",
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ",
        "Failures:",
        "[1]:",
        "  exitcode  : -15 (pid: 99)",
        "Root Cause (first observed failure):",
        "[0]:",
        "  rank      : 1 (local_rank: 1)",
        "  exitcode  : -9 (pid: 98)",
    ]
    assert ended(lines).failure is Failure.KILLED
    assert ended(lines, oom_kill_delta=1).failure is Failure.HOST_OUT_OF_MEMORY
    lines[-1] = "  exitcode  : -11 (pid: 98)"
    assert ended(lines).failure is Failure.SEGFAULT
    lines[-1] = "  exitcode  : 78 (pid: 98)"
    assert ended(lines).failure is Failure.CONFIGURATION


def test_a_hedge_is_no_cause() -> None:
    """A cause after "might be caused by" is a guess."""
    lines = ["RuntimeError: worker lost. This might be caused by CUDA out of memory."]
    assert ended(lines).failure is not Failure.CUDA_OUT_OF_MEMORY


def test_a_traceback_quotes_source_that_says_nothing() -> None:
    """A line of source in a traceback is not a message."""
    lines = [
        "Traceback (most recent call last):",
        '  File "/job/a.py", line 3, in check',
        '    raise KeyError("x")  # not CUDA error: out of memory',
        "KeyError: 'x'",
    ]
    assert ended(lines).failure is Failure.EXCEPTION


@pytest.mark.parametrize(
    ("free", "failure"),
    [(0, Failure.DISK_FULL), (10**12, Failure.FILESYSTEM), (None, Failure.FILESYSTEM)],
)
def test_free_space_decides_an_input_output_error(free: int | None, failure: Failure) -> None:
    """EIO on a full disk is a full disk; with free space it is the file system."""
    lines = [*OUT_OF_MEMORY[:3], "RuntimeError: write(): fd 9 failed with Input/output error"]
    assert ended(lines, free_bytes=free).failure is failure


@pytest.mark.parametrize(
    ("free", "code", "failure"),
    [
        (0, 1, Failure.DISK_FULL),
        (10**9, 1, Failure.UNKNOWN),
        (None, 1, Failure.UNKNOWN),
        (0, None, Failure.UNKNOWN),
        (0, 78, Failure.CONFIGURATION),
    ],
)
def test_a_full_disk_takes_the_last_words_too(
    free: int | None, code: int | None, failure: Failure
) -> None:
    """A log on the full disk cannot name the cause, so the free space does."""
    assert ended(steps(1, 3), code=code, free_bytes=free).failure is failure


def test_kernel_evidence_makes_a_kill_a_want_of_memory() -> None:
    """Only the counter, or a line of kernel or scheduler, shows exhausted memory."""
    assert ended(steps(1, 3), signal=9).failure is Failure.KILLED
    assert ended(steps(1, 3), signal=9, oom_kill_delta=0).failure is Failure.KILLED
    found = ended(steps(1, 3), signal=9, oom_kill_delta=2)
    assert (found.failure, found.action) == (Failure.HOST_OUT_OF_MEMORY, Action.RESTART)
    assert "2" in found.evidence[0]
    assert ended(steps(1, 3), code=137, oom_kill_delta=1).failure is Failure.HOST_OUT_OF_MEMORY
    kernel = ["Memory cgroup out of memory: Killed process 9 (python3) total-vm:1kB"]
    assert ended(steps(1, 3), signal=9, kernel_lines=kernel).failure is Failure.HOST_OUT_OF_MEMORY


def test_the_counter_explains_a_dead_worker_but_no_exception() -> None:
    """A data-loader worker killed for memory shows it; an IndexError is its own cause."""
    worker = ["RuntimeError: DataLoader worker (pid 9) is killed by signal: Killed."]
    assert ended(worker, oom_kill_delta=1).failure is Failure.HOST_OUT_OF_MEMORY
    other = [*OUT_OF_MEMORY[:3], "IndexError: list index out of range"]
    assert ended(other, oom_kill_delta=1).failure is Failure.EXCEPTION


def test_a_device_assert_is_not_hidden_by_its_asynchronous_traceback() -> None:
    """The kernel's assertion line comes first; the traceback adds type and frame."""
    found = ended(
        [
            "/b/Indexing.cu:1284: f: block: [1,0,0], thread: [3,0,0] Assertion `a < b` failed.",
            *OUT_OF_MEMORY[:3],
            "RuntimeError: CUDA error: device-side assert triggered",
            "CUDA kernel errors might be asynchronously reported at some other API call.",
        ]
    )
    assert (found.failure, found.action) == (Failure.CUDA_DEVICE_ASSERT, Action.HOLD)
    assert (found.exception, found.frame) == ("RuntimeError", "train.py:step")


def test_evidence_is_bounded() -> None:
    """The evidence has at most eight lines of at most 500 characters."""
    found = ended([WATCHDOG + "x" * 3000] * 50)
    assert 0 < len(found.evidence) <= 8
    assert max(map(len, found.evidence)) <= 500
