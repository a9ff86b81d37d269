"""What exit codes, signals and failed starts mean when the log names no cause."""

import errno
import signal

import pytest

from supervisor.core.vocabulary import Action, Failure
from supervisor.diagnosis.diagnose import diagnose
from supervisor.diagnosis.failure import ExitEvidence

pytestmark = pytest.mark.timeout(30)


@pytest.mark.parametrize(
    ("code", "failure", "action"),
    [
        (0, Failure.COMPLETED, Action.NONE),
        (75, Failure.PREEMPTED, Action.RESTART),
        (78, Failure.CONFIGURATION, Action.HOLD),
        (1, Failure.UNKNOWN, Action.RESTART),
        (127, Failure.CONFIGURATION, Action.HOLD),
        (126, Failure.CONFIGURATION, Action.HOLD),
        (137, Failure.KILLED, Action.RESTART),
        (139, Failure.SEGFAULT, Action.RESTART),
        (134, Failure.ABORTED, Action.RESTART),
        (143, Failure.UNKNOWN, Action.RESTART),
        (255, Failure.UNKNOWN, Action.RESTART),
        (None, Failure.UNKNOWN, Action.RESTART),
    ],
)
def test_a_code_alone(code: int | None, failure: Failure, action: Action) -> None:
    """An exit code without a log has a name and an action."""
    found = diagnose(ExitEvidence(code, None))
    assert (found.failure, found.action) == (failure, action)
    assert found.reason


def test_contract_codes_outrank_the_log() -> None:
    """A run that reports `finished` is finished, whatever it printed before."""
    lines = ["Traceback (most recent call last):", '  File "/a.py", line 1, in f', "ValueError: x"]
    assert diagnose(ExitEvidence(0, None, lines)).failure is Failure.COMPLETED
    assert (
        diagnose(ExitEvidence(78, None, lines, first_step_seen=True)).failure
        is Failure.CONFIGURATION
    )


def test_not_found_is_no_configuration_after_steps() -> None:
    """Exit code 127 after the first step is no configuration error: the program was there."""
    assert diagnose(ExitEvidence(127, None, first_step_seen=True)).failure is Failure.UNKNOWN


@pytest.mark.parametrize("number", range(1, 65))
def test_every_signal_has_a_diagnosis(number: int) -> None:
    """Every signal number has a diagnosis, those without a name included."""
    expected = {9: Failure.KILLED, 11: Failure.SEGFAULT, 7: Failure.SEGFAULT, 6: Failure.ABORTED}
    found = diagnose(ExitEvidence(None, number))
    if number in expected:
        assert found.failure is expected[number]
    assert str(number) in found.reason or "SIG" in found.reason


def test_a_bus_error_is_shared_memory_only_on_the_logs_word() -> None:
    """SIGBUS with the worker's message is exhausted shared memory; without it a segfault."""
    said = ["ERROR: Unexpected bus error encountered in worker. This might be caused by shm."]
    bus = int(signal.SIGBUS)
    assert diagnose(ExitEvidence(None, bus, said)).failure is Failure.SHARED_MEMORY_EXHAUSTED
    assert diagnose(ExitEvidence(None, bus, ["step 3"])).failure is Failure.SEGFAULT


def test_an_abort_is_explained_by_the_watchdog() -> None:
    """NCCL's watchdog prints the reason before it aborts the process."""
    said = ["what(): [Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=1)"]
    assert diagnose(ExitEvidence(None, 6, said)).failure is Failure.NCCL_TIMEOUT
    remote = ["ncclRemoteError: A call failed possibly due to a network error"]
    assert diagnose(ExitEvidence(None, 6, remote)).failure is Failure.NCCL_NETWORK


@pytest.mark.parametrize(
    ("number", "failure"),
    [
        (errno.ENOENT, Failure.CONFIGURATION),
        (errno.EACCES, Failure.CONFIGURATION),
        (errno.EMFILE, Failure.TOO_MANY_OPEN_FILES),
        (errno.ENOMEM, Failure.HOST_OUT_OF_MEMORY),
        (errno.ESTALE, Failure.FILESYSTEM),
        (errno.EINVAL, Failure.UNKNOWN),
    ],
)
def test_a_command_that_could_not_be_started(number: int, failure: Failure) -> None:
    """A wrong command is held; a lack of resources is waited for."""
    found = diagnose(ExitEvidence(None, None, start_errno=number))
    assert found.failure is failure
    assert (found.action is Action.HOLD) == (failure is Failure.CONFIGURATION)
