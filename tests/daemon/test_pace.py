"""How often the daemon looks at a run: less when it is calm, never so seldom that it is late."""

from dataclasses import replace

import pytest

from supervisor.core.look_facts import Health, Judgement, Looks
from supervisor.core.policy import Policy
from supervisor.core.states import Activity, State
from supervisor.core.vocabulary import Phase, RunState
from supervisor.daemon.look.pace import CALM_AFTER_S, CALM_POLL_S, POLL_S, pause_s

pytestmark = pytest.mark.timeout(20)

CALM = State(
    Policy(),
    run=RunState.RUNNING,
    alive=True,
    activity=Activity(phase=Phase.STEP, step=9, first_step_seen=True, started_at=100.0),
)
LATER = 100.0 + CALM_AFTER_S


def test_a_run_as_it_should_be_is_looked_at_once_a_second() -> None:
    """The first step is done, and nothing is overdue."""
    assert pause_s(CALM, LATER) == CALM_POLL_S


@pytest.mark.parametrize(
    "policy",
    [
        Policy(heartbeat_timeout_s=29.0),
        Policy(startup_timeout_s=10.0),
        Policy(log_silence_s=5.0),
        Policy(heartbeat_timeout_s=600.0, phase_timeouts_s=((Phase.SAVE, 12.0),)),
    ],
    ids=["beats", "start-up", "log", "phase"],
)
def test_a_short_limit_is_looked_at_twice_a_second(policy: Policy) -> None:
    """A second is a large part of a short limit."""
    assert pause_s(replace(CALM, policy=policy), LATER) == POLL_S


@pytest.mark.parametrize("limit_s", [30.0, 600.0])
def test_a_long_limit_is_no_reason_to_look_more(limit_s: float) -> None:
    """A second is at most a thirtieth of a long limit."""
    assert pause_s(replace(CALM, policy=Policy(heartbeat_timeout_s=limit_s)), LATER) == CALM_POLL_S


def test_what_begins_stops_or_is_late_is_looked_at_twice_a_second() -> None:
    """A decision is near if the run begins, stops or is late, so each look comes sooner."""
    late = Judgement(Health.OVERDUE, "no sign of life", 99.0, 60.0)
    activities = (
        replace(CALM.activity, first_step_seen=False),
        replace(CALM.activity, started_at=100.5),
        replace(CALM.activity, looks=Looks(overdue=late)),
    )
    for activity in activities:
        assert pause_s(replace(CALM, activity=activity), LATER) == POLL_S
    for run in set(RunState) - {RunState.RUNNING}:
        assert pause_s(replace(CALM, run=run), LATER) == POLL_S
