"""Hangs, silence, suspension: what one look at an attempt leads to."""

import pytest

from supervisor.core.effects import SendKill, SendStop, TakeStacks
from supervisor.core.events import Observed, StacksTaken, Suspended, Tick, Unkillable
from supervisor.core.learned import Learned
from supervisor.core.policy import Policy
from supervisor.core.reactions.operator import TERM_S
from supervisor.core.rules.deadlines import STEP_FLOOR_S, UNKNOWN_STEP_S, deadline_s
from supervisor.core.vocabulary import Phase, RunState
from tests.core.world import World


def running(**policy: object) -> World:
    """A world with its first attempt running."""
    world = World(policy=Policy(**policy))  # type: ignore[arg-type]
    world.begin()
    return world


def beat(world: World, age_s: float, **more: object) -> list[object]:
    """Show an attached, beating trainer whose last sign is `age_s` old."""
    facts: dict[str, object] = {"attached": True, "beating": True, "phase": Phase.STEP, "step": 5}
    seen = Observed(world.state.attempt, beat_age_s=age_s, **{**facts, **more})  # type: ignore[arg-type]
    return list(world.feed(seen))


def test_hang_takes_stacks_then_terminates_then_kills() -> None:
    """Stacks come first, then SIGTERM, 15 s, SIGKILL; the restart is charged as a hang."""
    world = running(heartbeat_timeout_s=30.0)
    beat(world, 1.0)
    assert world.state.run is RunState.RUNNING
    assert not any(isinstance(e, TakeStacks) for e in beat(world, 31.0))
    effects = world.looked()
    assert any(isinstance(e, TakeStacks) for e in effects)
    assert not any(isinstance(e, SendStop) for e in effects)
    assert SendStop(1, TERM_S, is_hang=True) in world.feed(StacksTaken(1))
    world.now += 15.1
    assert any(isinstance(e, SendKill) for e in world.feed(Tick()))
    world.end(code=None, signal=9, step=5)
    assert world.records("attempt_ended")[0]["failure"] == "hang"
    assert world.state.budget.failures == 1


def test_hang_without_stacks_goes_on() -> None:
    """Stacks that never come do not keep a hung attempt alive."""
    world = running(heartbeat_timeout_s=30.0)
    beat(world, 31.0)
    world.looked()
    world.now += 25
    assert any(isinstance(e, SendStop) for e in world.feed(Tick()))


def test_unkillable_is_stuck_and_never_launched_over() -> None:
    """A process in uninterruptible sleep ends the supervisor with 1."""
    world = running(heartbeat_timeout_s=30.0)
    beat(world, 31.0)
    world.looked()
    world.feed(Unkillable(1, "pid 7 (python, state D)"))
    assert world.state.run is RunState.STUCK
    assert world.exit_codes() == [1]


def test_not_attached_silence_is_reported_once() -> None:
    """Silence of a trainer that is not attached gives stacks, not a restart."""
    world = running(log_silence_s=60.0)
    for age in (61.0, 62.0, 500.0):
        world.feed(Observed(1, log_age_s=age))
    assert world.state.run is RunState.RUNNING
    assert sum(isinstance(e, TakeStacks) for e in world.effects) == 1
    world.feed(Observed(1, log_age_s=0.1))
    world.feed(Observed(1, log_age_s=61.0))
    assert sum(isinstance(e, TakeStacks) for e in world.effects) == 2


@pytest.mark.parametrize(
    ("stood_still", "state"),
    [(True, RunState.KILLING), (False, RunState.RUNNING), (None, RunState.RUNNING)],
)
def test_restart_on_silence_needs_counters_that_stood_still(
    stood_still: bool | None, state: RunState
) -> None:
    """`on_silence: restart` does not end a trainer that computes without printing."""
    world = running(log_silence_s=60.0, restart_on_silence=True)
    world.feed(Observed(1, log_age_s=61.0, stood_still=stood_still))
    if stood_still:
        world.looked()
    assert world.state.run is state


def test_suspension_excuses_all_ages() -> None:
    """After a suspend of ten minutes nothing hangs until another deadline has passed."""
    world = running(heartbeat_timeout_s=30.0)
    world.now += 600
    world.feed(Suspended(600.0))
    beat(world, 600.0)
    assert world.state.run is RunState.RUNNING
    world.now += 31
    beat(world, 631.0)
    world.looked()
    assert world.state.run is RunState.KILLING


def test_startup_has_no_limit_until_a_first_step_was_seen() -> None:
    """Skipping data may take hours; afterwards the limit is five times the longest start."""
    assert deadline_s(Phase.STARTUP, Policy(), Learned()) is None
    learned = Learned().with_seen(Phase.STARTUP, 100.0)
    assert deadline_s(Phase.STARTUP, Policy(), learned) == 500.0


@pytest.mark.parametrize(
    ("longest", "limit"), [(0.0, UNKNOWN_STEP_S), (1.0, STEP_FLOOR_S), (30.0, 300.0)]
)
def test_step_deadline_is_a_floor_or_a_multiple(longest: float, limit: float) -> None:
    """The step deadline learns from the steps seen."""
    assert deadline_s(Phase.STEP, Policy(), Learned().with_seen(Phase.STEP, longest)) == limit


def test_each_phase_has_its_own_deadline() -> None:
    """A save of ten minutes is no hang, although steps take a second."""
    world = running(heartbeat_timeout_s=5.0)
    beat(world, 600.0, phase=Phase.SAVE)
    assert world.state.run is RunState.RUNNING


def test_hang_time_is_not_booked_as_training() -> None:
    """The time of a hang is down time."""
    world = running(heartbeat_timeout_s=30.0)
    beat(world, 0.1)
    world.now += 40
    beat(world, 40.0)
    world.looked()
    # These are the ten seconds of the looks: this world sends no observation in them.
    assert world.state.account.training_s == 10.0
    assert world.state.account.down_s == 40.0


def test_a_finished_trainer_that_does_not_end_is_ended_and_stays_finished() -> None:
    """After all ranks said 0, a lingering process is ended after ten minutes: completed."""
    world = running()
    world.feed(Observed(1, beating=True, ended_age_s=599.0))
    assert world.state.run is RunState.RUNNING
    world.feed(Observed(1, beating=True, ended_age_s=601.0))
    world.looked()
    assert world.state.run is RunState.KILLING
    world.feed(StacksTaken(1))
    world.end(code=None, signal=9, outcome_code=0, failure="completed")
    assert world.state.run is RunState.COMPLETED
