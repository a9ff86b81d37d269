"""What the next daemon knows from the ledger."""

from typing import Any

import pytest

from supervisor.core.effects import SetAside
from supervisor.core.events import Begun, StartFailed
from supervisor.core.point_in_time import Moment
from supervisor.core.policy import Policy
from supervisor.core.rules.resumption import initial_state
from supervisor.core.states import Checkpoint
from supervisor.core.vocabulary import Intent
from supervisor.daemon.takeover import beginning
from supervisor.launcher.messages import Hello
from tests.core.world import World, checkpoint, history_of, snapshot

CREATED = {"type": "run_created", "run_id": "r1", "name": "n", "wall": 100.0}


def started(number: int, wall: float) -> dict[str, object]:
    """The record of an attempt's start."""
    return {"type": "attempt_started", "attempt": number, "wall": wall}


def failed(number: int, wall: float, **more: object) -> dict[str, object]:
    """The record of an attempt's end that was charged to the budget."""
    facts = {"failures": number, "repeats": 1, "signature": ["E", "f", 3], "charged": True}
    return {"type": "attempt_ended", "attempt": number, "wall": wall, "step": 40, **facts, **more}


def test_budget_survives() -> None:
    """The next daemon knows the failures, their ages and their signature."""
    history = history_of(
        [CREATED, started(1, 110.0), failed(1, 120.0), started(2, 130.0), failed(2, 140)]
    )
    state = initial_state(history, Policy(), now=1000.0, wall=150.0)
    assert state.budget.failures == 2
    assert state.budget.recent == (970.0, 990.0)
    assert state.budget.signature == ("E", "f", 3)
    assert (state.attempt, state.reached_step) == (2, 40)


def test_progress_refills_and_resume_forgives() -> None:
    """A validated step clears the failures, and so does `supervisor resume`."""
    entries = [CREATED, started(1, 110.0), failed(1, 120.0)]
    progressed = history_of([*entries, {"type": "progress", "step": 500, "wall": 130.0}])
    assert (progressed.budget.failures, progressed.budget.progress_step) == (0, 500)
    held = [*entries, {"type": "decision", "state": "held", "reason": "why", "wall": 121.0}]
    assert history_of(held).held == "why"
    resumed = history_of([*held, {"type": "resumed", "intent_id": "i", "wall": 140.0}])
    assert (resumed.held, resumed.budget.failures, resumed.failed_at) == (None, 0, ())


def test_a_clock_that_jumped_back_never_makes_failures_older() -> None:
    """If the wall time is before the failures, they count as of now."""
    history = history_of([CREATED, started(1, 110.0), failed(1, 5000.0)])
    state = initial_state(history, Policy(), now=10.0, wall=200.0)
    assert state.budget.recent == (10.0,)


def test_time_nobody_counted_is_not_known_unless_its_end_is() -> None:
    """Time between supervisors is down, none after a stop, and unknown if nobody saw the end."""
    spent = {"type": "time", "training_s": 50.0, "wall": 200.0}
    ended = {"type": "supervisor_ended", "wall": 210.0}
    killed = initial_state(history_of([CREATED, spent]), Policy(), now=0.0, wall=230.0)
    assert (killed.account.training_s, killed.account.unknown_s) == (50.0, 30.0)
    stopped = history_of([CREATED, spent, {**ended, "state": "stopped"}])
    assert initial_state(stopped, Policy(), now=0.0, wall=999.0).account.down_s == 0.0
    preempted = history_of([CREATED, spent, {**ended, "state": "preempted"}])
    assert initial_state(preempted, Policy(), now=0.0, wall=310.0).account.down_s == 100.0


def test_rollback_that_was_decided_is_not_forgotten() -> None:
    """A daemon that dies in the backoff before a rollback leaves the rollback to the next."""
    entries = [CREATED, started(1, 1.0), {"type": "decision", "state": "backoff",
                                          "action": "rollback", "wall": 2.0}]  # fmt: skip
    assert history_of(entries).rollback
    assert not history_of([*entries, started(2, 3.0)]).rollback


def test_failed_starts_stay_charged() -> None:
    """A start that failed for want of resources stays charged for the next daemon."""
    world = World()
    world.feed(Begun(Intent.RUN))
    world.survey()
    world.feed(StartFailed(1, "fork: no memory", transient=True))
    (entry,) = world.records("start_failed")
    history = history_of([CREATED, {**entry, "wall": 100.0}])
    assert (history.budget.failures, history.failed_at) == (1, (Moment(100.0),))


def test_rollback_is_done_once_and_not_lost_before_its_launch() -> None:
    """Whenever a daemon dies during a rollback, the next one neither forgets nor repeats it."""
    entries = [CREATED, started(1, 1.0), failed(1, 2.0, action="rollback")]
    assert history_of(entries).rollback
    going = {"type": "going_back", "step": 500, "later": ["/c/9"], "wall": 3.0}
    history = history_of([*entries, going])
    assert (history.rollback, history.back_to) == (False, 500)
    history = history_of([*entries, going, started(2, 4.0)])
    assert (history.rollback, history.back_to) == (False, None)


@pytest.mark.parametrize("moved", range(3))
def test_going_back_survives_a_daemon_killed_among_its_moves(moved: int) -> None:
    """The newest step lies on the disk and in memory: both are set aside, and nothing else."""
    entries = [CREATED, started(1, 1.0), failed(1, 2.0, action="rollback", attached=True)]
    candidates = [snapshot(600), checkpoint(600), checkpoint(500), checkpoint(400)]
    world, aside = _next_daemon(entries, candidates)
    (going,) = world.records("going_back")
    assert (going["step"], going["later"]) == (500, aside)
    assert len(aside) == 2
    world, aside = _next_daemon([*entries, {**going, "wall": 3.0}], candidates[moved:])
    assert world.state.checkpoint is not None
    assert world.state.checkpoint.step == 500
    assert len(aside) == 2 - moved


def _next_daemon(
    entries: list[dict[str, Any]], candidates: list[Checkpoint]
) -> tuple[World, list[str]]:
    world = World()
    world.checkpoints = tuple(candidates)
    history = history_of(entries)
    state = initial_state(history, Policy(), now=1000.0, wall=5.0)
    begun, world.state, _ = beginning(history, Intent.RUN, state, Hello())
    world.feed(begun)
    effects = world.survey()
    return world, [path for one in effects if isinstance(one, SetAside) for path in one.later]


def test_an_end_is_judged_once_though_its_start_is_not_on_record() -> None:
    """The daemon that ordered the attempt may die before it records the start."""
    history = history_of([CREATED, started(1, 1.0), failed(1, 2.0), failed(2, 4.0)])
    assert (history.attempt, history.last_attempt_open) == (2, False)


def test_clock_set_back_does_not_disown_what_is_made_after() -> None:
    """Checkpoints without a manifest belong to the run by time: the earliest time seen counts."""
    entries = [CREATED, started(1, 9000.0), failed(1, 1800.0), failed(1, 2500.0)]
    assert history_of(entries).first_attempt_wall == 1800.0
    assert history_of([{**CREATED, "wall": 50.0}, started(1, 9000.0)]).first_attempt_wall == 9000.0


def test_an_unwatched_end_is_told_once_for_an_attempt() -> None:
    """The report changes nothing else: the end stays unseen until the next attempt."""
    told = {"type": "attempt_unwatched", "attempt": 1, "how": "gone", "wall": 130.0}
    before = history_of([CREATED, started(1, 110.0)])
    after = history_of([CREATED, started(1, 110.0), told])
    assert (before.end_told, after.end_told) == (False, True)
    assert after.last_attempt_open
    assert initial_state(after, Policy(), now=1.0, wall=140.0).end_unseen
    assert not history_of([CREATED, started(1, 110.0), told, started(2, 150.0)]).end_told
