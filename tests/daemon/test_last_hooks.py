"""How long a supervisor that ends waits for its hooks."""

import math

import pytest

from supervisor.core.job import Job
from supervisor.core.policy import Policy
from supervisor.core.states import State, Stop
from supervisor.core.vocabulary import Intent, RunState, StopSource
from supervisor.daemon.act.last_hooks import hooks_end_at

NOW, GRACE_S = 1000.0, 10.0
ENDS = [
    RunState.COMPLETED, RunState.HELD, RunState.STUCK, RunState.PREEMPTED, RunState.STOPPED,
]  # fmt: skip


@pytest.mark.parametrize("run", ENDS)
def test_after_a_stop_until_its_grace_is_over(run: RunState) -> None:
    """The grace ends hooks, too: after it, whoever asked for the stop kills all processes."""
    stop = Stop(StopSource.SIGTERM, NOW - 5.0, until=NOW + 5.0)
    state = State(policy=Policy(), run=run, stop=stop)
    assert hooks_end_at(state, GRACE_S, NOW) == NOW + 5.0


@pytest.mark.parametrize("run", ENDS)
def test_without_a_stop_until_the_deadlines_of_the_hooks(run: RunState) -> None:
    """A run that is stopped while nothing runs has a grace as well."""
    is_stopped = run in (RunState.PREEMPTED, RunState.STOPPED)
    expected = NOW + GRACE_S if is_stopped else math.inf
    assert hooks_end_at(State(policy=Policy(), run=run), GRACE_S, NOW) == expected


def test_a_stop_that_was_taken_back_is_none() -> None:
    """Unless a signal has asked for it as well."""
    stop = Stop(StopSource.INTENT, NOW - 60.0, until=NOW - 50.0)
    state = State(policy=Policy(), run=RunState.COMPLETED, stop=stop, intent=Intent.RUN)
    assert hooks_end_at(state, GRACE_S, NOW) == math.inf
    also = Stop(StopSource.INTENT, NOW, until=NOW + 5.0, besides=StopSource.SIGTERM)
    state = State(policy=Policy(), run=RunState.COMPLETED, stop=also, intent=Intent.RUN)
    assert hooks_end_at(state, GRACE_S, NOW) == NOW + 5.0


@pytest.mark.parametrize(("left_s", "waits_s"), [(60.0, 50.0), (12.0, 6.0)])
def test_a_job_that_ends_soon_is_a_limit_too(left_s: float, waits_s: float) -> None:
    """SLURM still has to be asked to requeue it: 10 s, or half of what is left."""
    job = Job("7", None, NOW + left_s, None)
    state = State(policy=Policy(), run=RunState.COMPLETED, job=job)
    assert hooks_end_at(state, GRACE_S, NOW) == NOW + waits_s
