"""Goodput states only counted time, and is unknown if nobody could count."""

import pytest

from supervisor.core.events import Observed
from supervisor.core.policy import Policy
from supervisor.core.rules.goodput import goodput, spend
from supervisor.core.states import Account, Activity, State
from supervisor.core.vocabulary import RunState
from tests.core.world import World


def running() -> World:
    """A world whose attempt has just begun to run."""
    world = World()
    world.begin()
    return world


def test_an_attempt_without_steps_is_not_called_training() -> None:
    """A command that neither attaches nor prints steps has unknown time, and no goodput."""
    world = running()
    world.now += 3600
    account = spend(world.state, world.now).account
    assert (account.training_s, account.unknown_s) == (0.0, 3600.0)
    assert goodput(account) is None


def test_what_came_before_the_first_step_in_the_log_was_the_start() -> None:
    """The time before the first logged step counts as the start, and time after it as training."""
    world = running()
    world.now += 10
    world.feed(Observed(world.state.attempt, attached=False, beating=False, step=None))
    world.now += 10
    world.feed(Observed(world.state.attempt, attached=False, beating=False, step=1))
    world.now += 60
    account = spend(world.state, world.now).account
    assert (account.launching_s, account.unknown_s, account.training_s) == (20.0, 0.0, 60.0)
    assert goodput(account) == 0.75


@pytest.mark.parametrize(
    ("account", "share"),
    [
        (Account(), None),
        (Account(launching_s=5.0), None),
        (Account(unknown_s=50.0), None),
        (Account(training_s=30.0, down_s=10.0, unknown_s=1000.0), 0.75),
        (Account(replaying_s=30.0), 0.0),
    ],
)
def test_only_what_was_counted_is_shared_out(account: Account, share: float | None) -> None:
    """Unknown time is in neither part of the goodput fraction."""
    assert goodput(account) == share


def test_an_attached_trainer_that_never_beats_has_no_goodput() -> None:
    """As far as anybody knows, such a trainer is still starting."""
    state = State(Policy(), RunState.RUNNING, activity=Activity(attached=True), at=0.0)
    assert goodput(spend(state, 500.0).account) is None
