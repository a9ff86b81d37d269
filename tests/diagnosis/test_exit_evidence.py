"""Text is no evidence against the exit: a printed sample explains no kill."""

import signal

import pytest

from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.diagnose import diagnose
from supervisor.diagnosis.failure import Diagnosis, ExitEvidence
from supervisor.diagnosis.steps_after import shows_steps

pytestmark = pytest.mark.timeout(30)

XID = "NVRM: Xid (PCI:0000:3b:00): 79, pid=1, GPU has fallen off the bus."
ASSERTED = [
    "Traceback (most recent call last):",
    '  File "a.py", line 3, in <module>',
    "    x[i]",
    "RuntimeError: CUDA error: device-side assert triggered",
]
SAMPLES = [
    [XID],
    ASSERTED,
    ["RuntimeError: training stopped, loss=nan"],
    ["torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 3.00 GiB."],
    ["OSError: [Errno 28] No space left on device"],
    ["uncorrectable ECC error on GPU 0000:3b:00"],
    ["RuntimeError: PytorchStreamReader failed reading zip archive: not a ZIP archive"],
    ["python: can't open file 'train.py': [Errno 2] No such file or directory"],
    ["ConnectionError: Couldn't reach the Hub"],
]


def died(lines: list[str], **known: object) -> Diagnosis:
    """The diagnosis of an attempt that printed a sample last."""
    shown = ["step 39", "=== sample ===", *lines, "=== end of sample ==="]
    facts: dict[str, object] = {"code": None, "signal": None, "first_step_seen": True, **known}
    return diagnose(ExitEvidence(lines=shown, **facts))  # type: ignore[arg-type]


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("known", [{"signal": signal.SIGKILL}, {"code": 137}])
def test_a_kill_is_not_explained_by_what_was_printed(
    sample: list[str], known: dict[str, object]
) -> None:
    """SIGKILL comes from outside, also when a shell turned it into 137."""
    found = died(sample, **known)
    assert (found.failure, found.action, found.exception) == (Failure.KILLED, Action.RESTART, None)


@pytest.mark.parametrize("sample", SAMPLES)
def test_nor_is_a_request_to_end(sample: list[str]) -> None:
    """A program that dies of SIGTERM was asked to end."""
    found = died(sample, signal=signal.SIGTERM)
    assert (found.failure, found.action) == (Failure.UNKNOWN, Action.RESTART)


@pytest.mark.parametrize("sample", SAMPLES[:3] + SAMPLES[4:7])
def test_a_segmentation_fault_holds_no_run_and_takes_nothing_back(sample: list[str]) -> None:
    """A segmentation fault after a printed sample costs no checkpoint and holds no run."""
    found = died(sample, signal=signal.SIGSEGV)
    assert (found.failure, found.action) == (Failure.SEGFAULT, Action.RESTART)


def test_the_kernel_and_the_scheduler_know_who_sent_it() -> None:
    """Lines of the kernel and the scheduler do explain a SIGKILL."""
    found = died([], signal=9, kernel_lines=[XID])
    assert (found.failure, found.action) == (Failure.GPU_LOST, Action.EXCLUDE)
    for line, failure in (
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=7.0", Failure.HOST_OUT_OF_MEMORY),
        ("slurmstepd: error: *** STEP 7.0 ON n1 CANCELLED AT 2025-01-01T00:00:00 DUE TO TIME LIMIT"
         " ***", Failure.TIME_LIMIT),
    ):  # fmt: skip
        assert died([line], signal=9).failure is failure
    assert died([XID], signal=9, oom_kill_delta=1).failure is Failure.HOST_OUT_OF_MEMORY


def test_a_full_shared_memory_is_first_seen_by_touching_it() -> None:
    """SIGBUS with the trainer's message about shared memory is exhausted shared memory."""
    line = "RuntimeError: unable to write to file </torch_1_2>: No space left on device (28)"
    assert died([line], signal=signal.SIGBUS).failure is Failure.SHARED_MEMORY_EXHAUSTED


def test_a_printed_device_line_yields_to_the_traceback_that_ended_it() -> None:
    """A traceback printed later beats a device line in the log, but not the kernel's own line."""
    last = [
        "Traceback (most recent call last):",
        '  File "/job/data.py", line 3, in next',
        "    batch = table[index]",
        "IndexError: list index out of range",
    ]
    shown = ["=== sample ===", XID, "=== end of sample ===", *last]
    found = diagnose(ExitEvidence(1, None, shown, first_step_seen=True))
    assert (found.failure, found.frame) == (Failure.EXCEPTION, "data.py:next")
    by_kernel = diagnose(ExitEvidence(1, None, shown, first_step_seen=True, kernel_lines=[XID]))
    assert by_kernel.failure is Failure.GPU_LOST
    alone = diagnose(ExitEvidence(1, None, [XID], first_step_seen=True))
    assert alone.failure is Failure.GPU_LOST


RECORD = [
    "Traceback (most recent call last):",
    '  File "/job/data.py", line 9, in parse',
    "    return Record(**fields)",
    "pydantic_core._pydantic_core.ValidationError: 1 validation error for Record",
]


def test_one_bad_record_in_mid_run_is_an_exception() -> None:
    """The error is a wrong configuration before the first step, an ordinary failure later."""
    assert diagnose(ExitEvidence(1, None, RECORD)).action is Action.HOLD
    found = diagnose(ExitEvidence(1, None, RECORD, first_step_seen=True))
    assert (found.failure, found.action) == (Failure.EXCEPTION, Action.RESTART)


def test_what_no_traceback_says_keeps_its_words_after_the_first_step() -> None:
    """An ordinary failure still shows the reason that the program printed."""
    line = "train.py: error: unrecognized arguments: --resume"
    found = diagnose(ExitEvidence(2, None, [line], first_step_seen=True))
    assert (found.failure, found.action) == (Failure.EXCEPTION, Action.RESTART)
    assert "--resume" in found.reason


@pytest.mark.parametrize(
    ("lines", "seen"),
    [
        (["step 1", "step 2"], True),
        (["{'loss': 2.3, 'epoch': 0.1}", "{'loss': 2.2, 'epoch': 0.2}"], True),
        ([" 45%|####5  | 450/1000 [01:10<01:25, 6.4it/s]",
          " 46%|####6  | 451/1000 [01:10<01:25, 6.4it/s]"], True),
        (["Epoch 3:  45%|####5  | 45/100 [01:10<01:25, 6.4it/s]",
          "Epoch 3:  46%|####6  | 46/100 [01:10<01:25, 6.4it/s]"], True),
        (["Resuming from step 40", "step 40"], False),
        (["step 40"], False),
        (["  0%|       | 0/1000 [00:00<?, ?it/s]"], False),
        (["Map:  45%|####5  | 450/1000 [01:10<01:25, 6.4it/s]",
          "Map:  46%|####6  | 460/1000 [01:10<01:25, 6.4it/s]"], False),
        (["Loading checkpoint shards:  50%|##  | 1/2 [00:01<00:01]",
          "Loading checkpoint shards: 100%|####| 2/2 [00:01<00:01]"], False),
    ],
)  # fmt: skip
def test_steps_are_seen_in_the_log(lines: list[str], seen: bool) -> None:
    """Two rising step numbers prove steps; a download's bar does not count."""
    assert shows_steps(lines) is seen
