"""Stops: signals, intents, repeated interrupts, and what the reason says about saves."""

from dataclasses import replace

import pytest

from supervisor.core.effects import Say, SendKill, SendStop
from supervisor.core.ending import OwnRecord
from supervisor.core.events import (
    Begun,
    Exited,
    IntentChanged,
    Started,
    StopAsked,
    Surveyed,
    SurveyFailed,
    Tick,
)
from supervisor.core.policy import Policy
from supervisor.core.vocabulary import Intent, RunState, StopSource
from tests.core.world import World, checkpoint, died


def running(policy: Policy | None = None) -> World:
    """A world with its first attempt running from step 100."""
    world = World(policy=policy or Policy(), checkpoints=(checkpoint(100),))
    world.begin()
    return world


@pytest.mark.parametrize("code", [0, 1, 75, 143])
def test_after_a_stop_checkpoints_decide_not_the_code(code: int) -> None:
    """With any exit code a newer checkpoint means saved, and nothing is charged."""
    world = running()
    world.feed(StopAsked(StopSource.SIGTERM))
    assert world.state.run is RunState.DRAINING
    world.checkpoints = (checkpoint(130), *world.checkpoints)
    world.end(code=code, step=130)
    assert world.state.run is RunState.PREEMPTED
    assert world.exit_codes() == [75]
    assert "saved at step 130" in world.state.reason
    assert world.state.budget.failures == 0


def test_unsaved_stop_states_the_loss() -> None:
    """Without a newer checkpoint the run is preempted, and the reason names the loss."""
    world = running()
    world.feed(StopAsked(StopSource.SIGTERM))
    world.end(code=0, step=137)
    assert world.state.run is RunState.PREEMPTED
    assert "step 100, from before the stop; 37 steps since then are lost" in world.state.reason
    assert world.records("attempt_ended")[0]["saved"] is False


def test_a_stop_names_saves_that_are_not_seen() -> None:
    """That nothing was saved would not be true of a trainer that saves elsewhere."""
    world = World()
    world.begin()
    world.feed(StopAsked(StopSource.SIGTERM))
    world.feed(Exited(died(1, step=None, code=None, signal=15)))
    world.feed(Surveyed(unseen="the trainer saves into /w/out"))
    assert world.state.run is RunState.PREEMPTED
    said = "stopped by SIGTERM; no checkpoint is seen: the trainer saves into /w/out"
    assert world.state.reason == f"{said}; until then the next start is held"


def test_repeated_sigterm_changes_nothing() -> None:
    """The stop is sent once, however many signals come."""
    world = running()
    for _ in range(5):
        world.feed(StopAsked(StopSource.SIGTERM))
    assert sum(isinstance(e, SendStop) for e in world.effects) == 1
    assert not any(isinstance(e, SendKill) for e in world.effects)


@pytest.mark.parametrize(
    ("began", "order"),
    [
        ({"stop_by": StopSource.SIGTERM, "stop_since": 990.0}, SendStop(1, 110.0)),
        ({"stop_sent": True, "stop_sent_at": 900.0}, SendStop(1, 20.0)),
        ({"hung": "no step for 99 s", "stop_sent_at": 995.0}, SendStop(1, 10.0, is_hang=True)),
    ],
)
def test_the_next_daemon_orders_the_same_stop(began: dict[str, object], order: SendStop) -> None:
    """The next daemon's order has the time that is left, and the kind that the stop had."""
    world = World()
    world.state = replace(world.state, attempt=1)
    facts = {"alive": True, "stop_sent": True, **began}
    assert order in world.feed(Begun(Intent.RUN, **facts))  # type: ignore[arg-type]


def test_a_launcher_that_dies_during_a_stop_has_it_ordered_again() -> None:
    """The launcher's successor orders it for stopped shells and for ranks that attach late."""
    world = running()
    world.feed(StopAsked(StopSource.SIGTERM))
    world.now += 30
    again = world.feed(StopAsked(StopSource.LAUNCHER_DEATH, is_anew=True))
    assert SendStop(1, world.policy.grace_s - 30) in again
    assert not any(isinstance(e, SendStop) for e in world.feed(StopAsked(StopSource.SIGUSR1)))


def test_third_interrupt_kills_the_second_explains() -> None:
    """The second Ctrl-C explains the third, and the third kills."""
    world = running()
    world.feed(StopAsked(StopSource.SIGINT))
    said = [e.line for e in world.feed(StopAsked(StopSource.SIGINT)) if isinstance(e, Say)]
    assert "third Ctrl-C" in said[0]
    effects = world.feed(StopAsked(StopSource.SIGINT))
    assert any(isinstance(e, SendKill) for e in effects)
    assert world.state.run is RunState.KILLING
    world.end(code=None, signal=9, step=150)
    assert world.state.run is RunState.PREEMPTED
    assert world.state.failure == "stopped_by_user"


def test_grace_over_kills() -> None:
    """SIGKILL comes only when the grace is over."""
    world = running()
    world.feed(StopAsked(StopSource.SIGTERM))
    world.now += world.policy.grace_s - 1
    assert world.feed(Tick()) == []
    world.now += 2
    assert any(isinstance(e, SendKill) for e in world.feed(Tick()))


def test_stop_intent_ends_stopped_and_resume_meanwhile_goes_on() -> None:
    """`supervisor stop` ends in state stopped; if taken back during the save, training goes on."""
    world = running()
    world.feed(IntentChanged(Intent.STOP))
    world.end(code=75, step=130)
    assert world.state.run is RunState.STOPPED
    again = running()
    again.feed(IntentChanged(Intent.STOP))
    again.feed(IntentChanged(Intent.RUN))
    again.end(code=75, step=130)
    assert again.state.run is RunState.LAUNCHING
    assert again.state.attempt == 2


@pytest.mark.parametrize(
    ("more", "is_done"),
    [
        ({}, False),
        ({"outcome_code": 0}, False),
        ({"record": OwnRecord("trainer_state.json", 100, 200, is_end=True)}, False),
        ({"record": OwnRecord("trainer_state.json", 200, 200, is_end=True)}, True),
    ],
)
def test_an_exit_with_0_after_a_stop_that_was_taken_back_is_no_finish(
    more: dict[str, object], is_done: bool
) -> None:
    """Many trainers save and exit with 0 at a SIGTERM: training goes on, and nothing is charged."""
    world = running()
    world.feed(IntentChanged(Intent.STOP))
    world.feed(IntentChanged(Intent.RUN))
    world.end(code=0, failure="completed", step=130, **more)
    assert world.state.run is (RunState.COMPLETED if is_done else RunState.LAUNCHING)
    assert world.state.attempt == (1 if is_done else 2)
    assert world.state.budget.failures == 0


def test_a_finish_condition_that_is_met_outlasts_a_stop_that_was_taken_back() -> None:
    """The configuration defines the finish, and a revoked stop is no evidence against it."""
    world = running(Policy(finish_step=130, has_finish_condition=True))
    world.feed(IntentChanged(Intent.STOP))
    world.feed(IntentChanged(Intent.RUN))
    world.end(code=0, failure="completed", step=130)
    assert world.state.run is RunState.COMPLETED


def test_stop_before_the_start_was_reported() -> None:
    """A stop between the launch order and its report is sent after the order."""
    world = World()
    world.feed(Begun(Intent.RUN))
    world.survey()
    effects = world.feed(StopAsked(StopSource.SIGTERM))
    assert any(isinstance(e, SendStop) for e in effects)
    world.feed(Started(1))
    assert world.state.run is RunState.DRAINING


def test_a_finish_before_the_stop_stays_a_finish() -> None:
    """The stop came while the end was being judged: the run stays finished."""
    world = running()
    world.feed(Exited(died(1, code=0, failure="completed")))
    world.feed(StopAsked(StopSource.SIGTERM))
    assert world.state.run is RunState.DRAINING
    world.survey()
    assert world.state.run is RunState.COMPLETED


def test_stop_while_waiting_ends_at_once() -> None:
    """In backoff there is nothing to wait for."""
    world = running()
    world.end()
    assert world.state.run is RunState.BACKOFF
    world.feed(StopAsked(StopSource.SIGTERM))
    assert world.state.run is RunState.PREEMPTED
    assert world.exit_codes() == [75]


@pytest.mark.parametrize("late", [False, True])
def test_stop_does_not_wait_for_a_file_system_that_does_not_answer(late: bool) -> None:
    """The trainer has ended and the survey never answers: preempted once the grace is over."""
    world = running()
    if not late:
        world.feed(StopAsked(StopSource.SIGTERM))
    world.feed(Exited(died(1, code=75, step=130)))
    if late:
        world.feed(StopAsked(StopSource.SIGTERM))
    assert world.state.run is RunState.DRAINING
    world.now += world.policy.grace_s - 1
    world.feed(Tick())
    assert world.state.run is RunState.DRAINING
    world.now += 2
    world.feed(Tick())
    assert world.state.run is RunState.PREEMPTED
    assert world.exit_codes() == [75]
    assert world.records("attempt_ended")[0]["saved"] is None


def test_third_interrupt_ends_the_wait_for_the_checkpoints() -> None:
    """With nothing left to kill, the third Ctrl-C ends the run at once."""
    world = running()
    world.feed(StopAsked(StopSource.SIGINT))
    world.feed(Exited(died(1, code=75, step=130)))
    world.feed(StopAsked(StopSource.SIGINT))
    assert world.exit_codes() == []
    world.feed(StopAsked(StopSource.SIGINT))
    assert world.state.run is RunState.PREEMPTED
    assert world.exit_codes() == [75]


def test_saved_before_the_stop_is_not_saved_at_the_stop() -> None:
    """The reason names a checkpoint that was found only afterwards, and the steps lost since it."""
    world = running()
    world.feed(StopAsked(StopSource.SIGTERM))
    world.checkpoints = (checkpoint(120), *world.checkpoints)
    world.end(code=75, step=137)
    assert "saved at step 120; 17 steps since then are lost" in world.state.reason


def test_news_that_failed_does_not_answer_for_the_decision() -> None:
    """A failed survey for news, as the attempt ends, does not decide what was saved."""
    world = running()
    world.feed(StopAsked(StopSource.SIGTERM))
    world.feed(Exited(died(1, code=75, step=130)))
    world.feed(SurveyFailed("killed", deciding=False))
    assert world.state.run is RunState.DRAINING
    world.checkpoints = (checkpoint(130), *world.checkpoints)
    world.survey()
    assert world.records("attempt_ended")[0]["saved"] is True
