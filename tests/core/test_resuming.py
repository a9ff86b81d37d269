"""An attempt that was told to resume and begins anew: killed, doubted, or trusted."""

from dataclasses import replace
from typing import Any

import pytest

from supervisor.core.effects import Exit, Incident, Say, SendKill, SendStop
from supervisor.core.events import BeginsAnew, Begun, GoesOn, Observed
from supervisor.core.history import History
from supervisor.core.policy import Policy
from supervisor.core.rules.resumption import initial_state
from supervisor.core.rules.step_counters import (
    Counter,
    ResumeFinding,
    StepsSeen,
    judge,
    writes_over,
)
from supervisor.core.vocabulary import Failure, Intent, RunState
from tests.core.world import World, checkpoint, history_of

PATH = "/run/checkpoint-40"
COUNTER = Counter(fresh=1, pace_s=0.2, interval=10, saves={PATH: 40, "/run/checkpoint-10": 10})
STARTED = {"type": "attempt_started", "attempt": 1, "wall": 1.0,
           "checkpoint": {"path": PATH, "step": 40, "tier": "disk"}}  # fmt: skip
HELD = {
    "type": "decision",
    "state": "held",
    "reason": "r",
    "failure": "resume_ignored",
    "wall": 2.0,
}
RESUMED = {"type": "resumed", "intent_id": "i", "wall": 3.0}


def seen(first: int, last: int, took_s: float = 1.0, **more: Any) -> StepsSeen:
    """The steps that were seen of an attempt."""
    return StepsSeen(first, 0.0, last, took_s, **more)


@pytest.mark.parametrize(
    ("counter", "steps", "finding"),
    [
        (COUNTER, seen(1, 4), ResumeFinding.BEGINS_ANEW),
        (COUNTER, seen(2, 19, 4.0), ResumeFinding.BEGINS_ANEW),
        (COUNTER, seen(1, 1), ResumeFinding.NOTHING),
        (COUNTER, seen(1, 4, 0.0), ResumeFinding.NOTHING),
        (COUNTER, seen(1, 15, 1.0), ResumeFinding.NOTHING),
        (COUNTER, seen(1, 20, 4.0), ResumeFinding.NOTHING),
        (COUNTER, seen(5, 8), ResumeFinding.NOTHING),
        (COUNTER, seen(41, 44), ResumeFinding.GOES_ON),
        (COUNTER, seen(21, 22), ResumeFinding.GOES_ON),
        (COUNTER, seen(1, 4, went_back=True), ResumeFinding.NOTHING),
        (COUNTER, seen(1, 4, epoch=2), ResumeFinding.NOTHING),
        (replace(COUNTER, went_back=True), seen(1, 4), ResumeFinding.NOTHING),
        (replace(COUNTER, saves={}), seen(1, 4), ResumeFinding.NOTHING),
        (replace(COUNTER, saves={PATH: 20}), seen(1, 4), ResumeFinding.NOTHING),
        (replace(COUNTER, fresh=None), seen(1, 4), ResumeFinding.NOTHING),
        (replace(COUNTER, pace_s=None), seen(1, 4), ResumeFinding.NOTHING),
        (replace(COUNTER, interval=0), seen(1, 4), ResumeFinding.NOTHING),
        (None, seen(1, 4), ResumeFinding.NOTHING),
    ],
)
def test_each_condition_stands_for_a_training_that_was_healthy(
    counter: Counter | None, steps: StepsSeen, finding: ResumeFinding
) -> None:
    """Needed: two rising steps, below N - 2 × the interval, near the fresh start, at its pace."""
    assert judge(counter, PATH, steps) is finding


@pytest.mark.parametrize(
    ("step", "on_disk", "over"),
    [
        (4, {"/run/checkpoint-10"}, True),
        (4, {PATH}, False),
        (11, {PATH}, False),
        (31, {PATH}, True),
        (41, {PATH}, False),
    ],
)
def test_the_next_save_is_where_it_was_before(step: int, on_disk: set[str], over: bool) -> None:
    """A pruned checkpoint is not written over; beyond the recorded saves nothing is known."""
    assert writes_over(COUNTER, step, on_disk) is over


def resumed(**more: Any) -> World:
    """A world whose attempt was told to resume from step 40."""
    policy = Policy(**{"has_resume_args": True, **more})
    world = World(policy=policy, checkpoints=(checkpoint(40),))
    world.begin()
    return world


def anew(world: World, *, is_beat: bool = True, over: bool = False) -> list[object]:
    """Report that the attempt's steps begin at 1, not near step 40."""
    event = BeginsAnew(world.state.attempt, PATH, 40, 1, 4, is_beat, over)
    return list(world.feed(event))


@pytest.mark.parametrize(("is_beat", "over"), [(True, False), (False, True)])
def test_it_is_killed_at_once_and_the_run_is_held(is_beat: bool, over: bool) -> None:
    """SIGTERM would save a few steps from nothing, so SIGKILL comes; both step numbers are told."""
    world = resumed()
    effects = anew(world, is_beat=is_beat, over=over)
    assert [e for e in effects if isinstance(e, SendKill | SendStop)] == [SendKill(1)]
    (incident,) = (e for e in effects if isinstance(e, Incident))
    assert "step 40" in incident.what
    assert "steps 1 to 4" in incident.what
    assert world.state.run is RunState.KILLING
    assert anew(world) == []
    world.end(signal=9, code=None, failure="killed")
    assert world.state.run is RunState.HELD
    assert world.state.failure is Failure.RESUME_IGNORED
    assert world.exit_codes() == [1]


def test_the_log_alone_raises_a_doubt_once() -> None:
    """If nothing is written over, the attempt goes on, and the doubt ends with its steps."""
    world = resumed()
    effects = anew(world, is_beat=False)
    assert [e.is_doubt for e in effects if isinstance(e, Say)] == [True]
    assert world.state.run is RunState.RUNNING
    assert world.state.resume_doubt is not None
    assert anew(world, is_beat=False) == []
    world.feed(GoesOn(1))
    assert world.state.resume_doubt is None


def test_a_doubt_becomes_an_end_where_the_next_save_writes_over() -> None:
    """The attempt is killed before its next save writes over a checkpoint."""
    world = resumed()
    anew(world, is_beat=False)
    anew(world, is_beat=False, over=True)
    assert world.state.run is RunState.KILLING


def test_a_trainer_that_was_told_nothing_is_not_blamed() -> None:
    """A trainer without arguments and attach() has to find its checkpoint itself."""
    world = resumed(has_resume_args=False, trainer_finds_checkpoints=True)
    assert anew(world) == []
    world.feed(Observed(1, attached=True))
    assert anew(world) != []


def test_a_resume_is_taken_at_its_word() -> None:
    """After `supervisor resume` the run is not held for this reason again, by any daemon."""
    past = history_of([STARTED, HELD, RESUMED])
    assert past.resumed_from == PATH
    assert past.resume_is_trusted
    world = resumed()
    world.state = replace(world.state, resume_is_trusted=True)
    assert anew(world) == []
    assert not history_of([STARTED, {**HELD, "failure": "exception"}, RESUMED]).resume_is_trusted


def test_the_next_daemon_carries_the_kill_out() -> None:
    """The kill was decided and recorded, but the order may not have gone out."""
    noted = {"type": "not_resumed", "attempt": 1, "reason": "why", "wall": 2.0}
    history: History = history_of([STARTED, noted])
    world = resumed()
    world.state = initial_state(history, world.policy, now=world.now, wall=3.0, alive=True)
    effects = world.feed(Begun(Intent.RUN, alive=True, not_resumed=history.not_resumed))
    assert effects == [SendKill(1)]
    assert world.state.run is RunState.KILLING
    world.end(signal=9, code=None, failure="killed")
    assert (world.state.run, world.state.reason) == (RunState.HELD, "why")
    assert [e for e in world.effects if isinstance(e, Exit)] != []


def test_a_doubt_outlives_the_daemon() -> None:
    """The doubt lasts until the steps go on, or the operator lets the run go on."""
    doubted = {"type": "resume_doubted", "attempt": 1, "reason": "why", "wall": 1.0}
    assert initial_state(history_of([doubted]), Policy(), now=0.0, wall=2.0).resume_doubt == "why"
    for over in ("resume_seen", "resumed", "begin_again"):
        assert history_of([doubted, {"type": over, "wall": 2.0}]).resume_doubt is None
