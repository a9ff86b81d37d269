"""What a main process leaves behind with exit 0: it trains, or it only lives; a stop reaches it."""

import pytest

from supervisor.core.effects import KeepLeft, Say, SendKill, SendStop, TakeStacks
from supervisor.core.events import (
    Exited,
    StacksTaken,
    StopAsked,
    Suspended,
    Tick,
)
from supervisor.core.left_behind_events import LeftSeen, MainEnded
from supervisor.core.reactions.left_behind import (
    KEPT_ON_TRIAL_S,
    KEPT_S,
    RENEWED_S,
    TRIAL_AT_LEAST_S,
    TRIAL_S,
)
from supervisor.core.vocabulary import RunState, StopSource
from tests.core.world import World, checkpoint, died, history_of

NAMES = ("python (42)",)


def left(**more: object) -> World:
    """A world whose first attempt's main process has just ended and left a process."""
    world = World(checkpoints=(checkpoint(10),))
    world.begin()
    world.feed(MainEnded(1, world.now, NAMES, **more))  # type: ignore[arg-type]
    return world


def seen(
    world: World, sign: str | None = None, after_s: float = 1.0, *, still: bool | None = None
) -> list[object]:
    """One observation of the processes left behind, `after_s` later."""
    world.now += after_s
    return list(world.feed(LeftSeen(1, sign, NAMES, stood_still=still)))


def said(world: World) -> str:
    """All printed lines."""
    return "\n".join(effect.line for effect in world.effects if isinstance(effect, Say))


def test_a_first_sign_makes_it_the_attempt() -> None:
    """A sign of training is reported once and recorded, and the process is kept while it trains."""
    world = left()
    assert KeepLeft(1, KEPT_ON_TRIAL_S) in world.effects
    assert seen(world, after_s=TRIAL_S - 1) == []
    effects = seen(world, "rank 0 beats", after_s=0.5)
    assert KeepLeft(1, KEPT_S) in effects
    assert world.state.run is RunState.RUNNING
    assert "python (42) trains on (rank 0 beats)" in said(world)
    (entry,) = world.records("left_training")
    assert history_of([{**entry, "wall": 1.0}]).left_training == 1
    assert seen(world, "rank 0 beats") == []
    assert seen(world, "rank 0 beats", after_s=RENEWED_S) == [KeepLeft(1, KEPT_S)]


def test_what_only_lives_is_ended_and_named() -> None:
    """Without a sign within 60 s of the main process's end, the process never was training."""
    world = left()
    seen(world, after_s=TRIAL_S - 1)
    assert world.state.left is not None
    effects = seen(world, after_s=2)
    assert KeepLeft(1, 0.0) in effects
    assert "no sign of training for 60 s" in said(world)
    assert "python (42)" in said(world)
    assert seen(world, after_s=1) == []
    world.end(code=0, failure="completed")
    assert world.state.run is RunState.COMPLETED


def test_what_is_known_not_to_train_is_ended_at_once() -> None:
    """A logger's service or an agent is ended at once, also if it is identified a look later."""
    world = left()
    world.now += 1.0
    assert KeepLeft(1, 0.0) in world.feed(LeftSeen(1, None, ("ssh-agent (7)",), is_idle=True))
    assert "ended the processes that the main process left behind: ssh-agent (7)" in said(world)


def test_nothing_waits_where_training_is_known_to_be_over() -> None:
    """Nothing waits if all ranks said that they end, or all steps are made."""
    world = left(is_settled=True)
    assert KeepLeft(1, 0.0) in world.effects
    assert world.state.left is None


def test_no_sign_for_long_is_a_hang_and_no_finish() -> None:
    """A process that trained and stands still gets stacks, SIGTERM and SIGKILL, as a hang."""
    world = left()
    for _ in range(3):
        seen(world, "a new checkpoint", after_s=50.0)
    assert seen(world, after_s=1799.0) != []  # the order to keep it is renewed
    assert world.state.run is RunState.RUNNING
    effects = seen(world, after_s=2.0, still=True)
    assert any(isinstance(effect, TakeStacks) for effect in effects)
    assert world.state.run is RunState.KILLING
    stops = [e for e in world.feed(StacksTaken(1)) if isinstance(e, SendStop)]
    assert [stop.is_hang for stop in stops] == [True]
    world.now += 16.0
    assert SendKill(1) in world.feed(Tick())
    world.end(code=0, failure="completed")
    assert world.records("attempt_ended")[0]["failure"] == "hang"


@pytest.mark.parametrize("still", [None, False])
def test_what_computes_without_a_sign_is_no_hang(still: bool | None) -> None:
    """An evaluation may show no step for hours: it is a hang only after ten times the limit."""
    world = left()
    seen(world, "a new checkpoint")
    seen(world, after_s=10 * 1800.0 - 1, still=still)
    assert world.state.run is RunState.RUNNING
    seen(world, after_s=2, still=still)
    assert world.state.run is RunState.KILLING


def test_the_limit_is_longer_where_signs_are_rare() -> None:
    """With checkpoints half an hour apart, a hang takes ten times as long."""
    world = left()
    seen(world, "a new checkpoint")
    seen(world, "a new checkpoint", after_s=1700.0)
    seen(world, after_s=10 * 1700.0 - 1, still=True)
    assert world.state.run is RunState.RUNNING
    seen(world, after_s=2, still=True)
    assert world.state.run is RunState.KILLING


@pytest.mark.parametrize("trains", [False, True])
def test_a_stop_meanwhile_is_a_stop(trains: bool) -> None:
    """The stop reaches the processes left behind, and looks decide nothing any more."""
    world = left()
    if trains:
        seen(world, "rank 0 beats")
    effects = world.feed(StopAsked(StopSource.SIGTERM))
    assert any(isinstance(effect, SendStop) for effect in effects)
    assert world.state.run is RunState.DRAINING
    assert seen(world, after_s=3600.0) == []
    world.end(code=0, step=20)
    assert world.state.run is RunState.PREEMPTED


def test_a_main_process_that_ends_at_a_stop_leaves_nothing_to_judge() -> None:
    """The launcher tells the ranks to stop, so there is no trial."""
    world = World(checkpoints=(checkpoint(10),))
    world.begin()
    world.feed(StopAsked(StopSource.SIGTERM))
    assert world.feed(MainEnded(1, world.now, NAMES)) == []
    assert world.state.left is None


def test_the_next_daemon_goes_on_where_the_last_one_was() -> None:
    """A process that trained before gets no new trial, and its silence counts from now."""
    world = World(checkpoints=(checkpoint(10),))
    world.begin()
    effects = world.feed(MainEnded(1, world.now - 500.0, NAMES, trained=True))
    assert effects == [KeepLeft(1, KEPT_S)]
    seen(world, after_s=TRIAL_S + 1)
    assert world.state.run is RunState.RUNNING
    on_trial = World(checkpoints=(checkpoint(10),))
    on_trial.begin()
    on_trial.feed(MainEnded(1, on_trial.now - 50.0, NAMES))
    assert seen(on_trial, after_s=TRIAL_AT_LEAST_S - 1.0) == []
    assert KeepLeft(1, 0.0) in seen(on_trial, after_s=2.0)


def test_time_in_which_nobody_looked_is_no_part_of_the_trial() -> None:
    """The daemon itself was stopped for two minutes: a sign may have come and gone unseen."""
    world = left()
    world.now += 120.0
    world.feed(Suspended(119.0))
    assert KeepLeft(1, 0.0) not in seen(world)
    assert KeepLeft(1, 0.0) in seen(world, after_s=TRIAL_S)


def test_late_news_of_an_attempt_that_is_over_is_none() -> None:
    """A look under way when the attempt ends has no effect."""
    world = left()
    world.feed(Exited(died(1, code=0, failure="completed")))
    assert world.feed(LeftSeen(1, "rank 0 beats")) == []
    assert world.state.left is None
