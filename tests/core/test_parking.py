"""When a spare interpreter is ordered and waited for, and why a launch is cold."""

import pytest

from supervisor.core.effects import Launch, Park, Record, Say
from supervisor.core.events import Begun, Observed, ParkedSeen, Started, Tick
from supervisor.core.policy import Policy
from supervisor.core.rules.warm_launch import (
    AGAIN_S,
    INSISTING_S,
    Launched,
    LaunchMode,
    LaunchTimes,
    Parked,
    ParkedStage,
    WarmTrust,
    patience_s,
)
from supervisor.core.vocabulary import Intent
from tests.core.world import World, checkpoint, history_of

WAITING = Parked(ParkedStage.WAITING)
REFUSED = Parked(ParkedStage.ABSENT, reason="bash is not Python")


def world(mode: LaunchMode = LaunchMode.AUTO) -> World:
    """A run whose first attempt runs."""
    one = World(Policy(launch_mode=mode), checkpoints=(checkpoint(10),))
    one.begin()
    return one


def look(one: World, *, after_s: float = 0.5, **more: object) -> list[object]:
    """Observe once an attached trainer that has made a step, and return the orders."""
    one.now += after_s
    facts: dict[str, object] = {"attached": True, "beating": True, "step": 11, **more}
    return list(one.feed(Observed(one.state.attempt, **facts)))  # type: ignore[arg-type]


def parks(effects: list[object]) -> int:
    """How many orders to park there are."""
    return sum(isinstance(effect, Park) for effect in effects)


def relaunch(one: World) -> list[object]:
    """End the attempt after progress, so that another is launched at once."""
    one.checkpoints = (checkpoint(20 + one.state.attempt), *one.checkpoints)
    return list(one.end())


def launch_of(effects: list[object]) -> Launch:
    """The only launch among these effects."""
    (found,) = (effect for effect in effects if isinstance(effect, Launch))
    return found


def test_one_is_ordered_after_the_first_step_and_once() -> None:
    """The order comes after the first step, because parking would slow the start down."""
    one = world()
    assert parks(look(one, beating=False)) == 0
    assert parks(look(one)) == 0
    assert parks(look(one)) == 1
    assert parks(look(one)) == 0
    one.feed(ParkedSeen(WAITING, 2.0, 1 << 28))
    assert parks(look(one)) == 0


@pytest.mark.parametrize(
    ("facts", "after_s", "orders"),
    [
        ({"attached": False, "beating": False, "step": None}, 10.0, 0),
        ({"attached": False, "beating": False, "step": None}, 70.0, 1),
        ({"attached": False, "beating": False, "step": 12}, 1.0, 1),
    ],
)
def test_a_trainer_whose_steps_nobody_sees(
    facts: dict[str, object], after_s: float, orders: int
) -> None:
    """A step in the log, or a minute, stands for an unseen first step."""
    one = world()
    assert parks(look(one, after_s=after_s, **facts)) == orders


def test_cold_mode_orders_none_and_says_why() -> None:
    """`launch: {mode: cold}` is the reason of every launch."""
    one = world(LaunchMode.COLD)
    look(one)
    assert parks(look(one)) == 0
    assert launch_of(relaunch(one)).why_cold == "launch.mode is cold"


def test_a_refusal_stands_until_the_next_attempt() -> None:
    """A refusal is the next launch's reason, and the attempt after it tries to park again."""
    one = world()
    look(one)
    look(one)
    one.feed(ParkedSeen(REFUSED))
    assert parks(look(one, after_s=2 * AGAIN_S, beating=True)) == 0
    effects = relaunch(one)
    assert launch_of(effects).why_cold == "bash is not Python"
    one.feed(Started(one.state.attempt, False, "bash is not Python"))
    assert one.state.launched == Launched(False, "bash is not Python")
    look(one)
    assert parks(look(one)) == 1


def test_one_that_was_killed_is_ordered_again_later() -> None:
    """After the kernel killed it for want of memory, a pause comes before the next order."""
    one = world()
    look(one)
    look(one)
    one.feed(ParkedSeen(Parked(ParkedStage.ABSENT, reason="killed", again_at=one.now + AGAIN_S)))
    assert parks(look(one)) == 0
    assert parks(look(one, after_s=AGAIN_S)) == 1


def test_the_reason_of_the_last_cold_launch_outlives_a_warm_one() -> None:
    """`status` shows how the last launch was, and why the last cold launch was cold."""
    one = world()
    one.feed(Started(1, False, "heavy.py has changed"))
    relaunch(one)
    one.feed(Started(one.state.attempt, True))
    assert one.state.launched == Launched(True, "heavy.py has changed")


@pytest.mark.parametrize(
    ("mode", "loud", "said"),
    [
        (LaunchMode.AUTO, False, False),
        (LaunchMode.AUTO, True, True),
        (LaunchMode.WARM, False, True),
    ],
)
def test_who_is_told_that_there_is_none(mode: LaunchMode, loud: bool, said: bool) -> None:
    """A user who asked for warm launches is told, and all users where memory is the reason."""
    one = world(mode)
    effects = one.feed(ParkedSeen(REFUSED, is_loud=loud))
    assert any(isinstance(e, Say) and "bash is not Python" in e.line for e in effects) == said


def test_a_cold_launch_is_said_where_warm_was_asked_for() -> None:
    """The first attempt's is not reported: nothing can be parked for it."""
    one = World(Policy(launch_mode=LaunchMode.WARM), checkpoints=(checkpoint(10),))
    one.feed(Begun(Intent.RUN))
    one.survey()
    assert not [e for e in one.feed(Started(1)) if isinstance(e, Say)]
    relaunch(one)
    (line,) = (e.line for e in one.feed(Started(2, False, "why")) if isinstance(e, Say))
    assert line == "attempt 2 is launched cold, not warm as configured: why"


@pytest.mark.parametrize(
    ("times", "since_s", "mode", "expected"),
    [
        (LaunchTimes(), 0, LaunchMode.AUTO, 0.0),
        (LaunchTimes(), 0, LaunchMode.WARM, INSISTING_S),
        (LaunchTimes(cold_s=3.0, warm_s=0.1, park_s=2.0), 0, LaunchMode.AUTO, 2.9),
        (LaunchTimes(cold_s=3.0, warm_s=0.1, park_s=9.0), 1, LaunchMode.AUTO, 0.0),
        (LaunchTimes(cold_s=3.0, warm_s=0.1, park_s=9.0), 7, LaunchMode.AUTO, 2.9),
        (LaunchTimes(cold_s=3.0, warm_s=2.9, park_s=2.0), 1, LaunchMode.AUTO, 0.0),
        (LaunchTimes(cold_s=3.0), 0, LaunchMode.AUTO, 0.0),
        (LaunchTimes(cold_s=3.0), 1, LaunchMode.AUTO, 3.0),
        (LaunchTimes(cold_s=90.0, warm_s=1.0, park_s=50.0), 0, LaunchMode.WARM, 89.0),
    ],
)
def test_it_is_waited_for_where_that_is_quicker(
    times: LaunchTimes, since_s: float, mode: LaunchMode, expected: float
) -> None:
    """The wait is never longer than the time that a warm launch would save, as measured."""
    parked = Parked(ParkedStage.IMPORTING, since=1000.0)
    assert patience_s(parked, mode, times, 1000.0 + since_s) == pytest.approx(expected)
    assert patience_s(WAITING, mode, times, 1000.0) == 0.0
    assert patience_s(None, mode, times, 1000.0) == 0.0


def test_a_launch_carries_its_patience() -> None:
    """The run learns its times from its own ledger entries."""
    one = world()
    one.feed(Started(1, False, None))
    look(one, first_step_at=one.now + 3.0, after_s=3.5)
    look(one)
    one.feed(ParkedSeen(WAITING, 2.0, 1))
    relaunch(one)
    one.feed(Started(2, True))
    look(one, first_step_at=one.now + 0.25, after_s=0.5)
    look(one)
    assert one.state.times == LaunchTimes(cold_s=3.0, warm_s=0.25, park_s=2.0)
    one.now += 1.0
    launch = launch_of(relaunch(one))
    assert (launch.why_cold, launch.patience_s) == (None, 2.75)
    entries = [{**entry, "wall": 1.0} for kind in ("first_step", "parked")
               for entry in one.records(kind)]  # fmt: skip
    assert history_of(entries).times == one.state.times


def test_history_knows_how_the_last_attempt_was_started() -> None:
    """A later daemon shows the same."""
    cold = {"type": "attempt_started", "attempt": 1, "launch": "cold", "why_cold": "a reason"}
    warm = {"type": "attempt_started", "attempt": 2, "launch": "warm", "why_cold": None}
    assert history_of([cold]).launched == Launched(False, "a reason")
    assert history_of([cold, warm]).launched == Launched(True, "a reason")
    old = {"type": "attempt_started", "attempt": 3}
    assert history_of([cold, warm, old]).launched == Launched(False, None)


def warm_world() -> World:
    """A run whose second attempt was launched warm, after one failure."""
    one = world()
    look(one)
    look(one)
    one.feed(ParkedSeen(WAITING, 2.0, 1 << 28))
    relaunch(one)
    one.feed(Started(one.state.attempt, is_warm=True))
    return one


def folded(one: World) -> WarmTrust:
    """The trust in warm launches that the next daemon reads from the ledger."""
    entries: list[dict[str, object]] = []
    for effect in one.effects:
        if isinstance(effect, Record):
            entries.append({**effect.entry.to_json(), "wall": 1.0})
        elif isinstance(effect, Launch):
            entries.append({"type": "attempt_started", "attempt": effect.attempt, "wall": 1.0})
    return history_of(entries).warm


@pytest.mark.parametrize("how", [{}, {"code": 78}, {"failure": "configuration"}, {"code": 75}])
def test_a_warm_start_that_fails_at_once_is_tried_cold_and_not_charged(
    how: dict[str, object],
) -> None:
    """Before the first step, program or warm start may be at fault: the next is cold and free."""
    one = warm_world()
    before = one.state.budget
    effects = list(one.end(first_step_seen=False, **how))
    launch = launch_of(effects)
    assert launch.why_cold == "the warm attempt before it failed before its first step"
    assert one.state.budget == before
    (entry,) = (e for e in one.records("attempt_ended") if e["attempt"] == 2)
    assert (entry["charged"], entry["action"]) == (False, "restart_cold")
    assert any("launched again, cold" in e.line for e in effects if isinstance(e, Say))
    assert folded(one) is one.state.warm is WarmTrust.DOUBTED


def test_after_a_cold_one_that_makes_its_steps_no_launch_is_warm() -> None:
    """The warm start was at fault: this daemon and the next park no interpreter any more."""
    one = warm_world()
    one.launched(one.end(first_step_seen=False))
    assert sum(parks(look(one)) for _ in range(3)) == 0
    assert folded(one) is one.state.warm is WarmTrust.BLAMED
    why = "a warm attempt failed before its first step, and the cold one did not"
    assert launch_of(relaunch(one)).why_cold == why
    assert history_of([{"type": "attempt_ended", "action": "restart_cold"}, {"type": "first_step"},
                 {"type": "resumed"}]).warm is WarmTrust.TRUSTED  # fmt: skip


def test_a_cold_one_that_fails_alike_clears_the_warmth_and_counts() -> None:
    """The next failure is charged: only one failure in a run is free."""
    one = warm_world()
    one.launched(one.end(first_step_seen=False))
    before = one.state.budget.failures
    one.end(first_step_seen=False)
    assert folded(one) is one.state.warm is WarmTrust.CLEARED
    assert one.state.budget.failures == before + 1
    one.now = one.state.wake_at or 0.0
    one.feed(Tick())
    one.survey()
    one.feed(Started(one.state.attempt, is_warm=True))
    one.end(first_step_seen=False)
    assert one.state.budget.failures == before + 2


@pytest.mark.parametrize(
    ("is_warm", "facts", "ran_s"),
    [
        (False, {"first_step_seen": False}, 1.0),
        (True, {"first_step_seen": True}, 1.0),
        (True, {"first_step_seen": False, "attached": False}, 70.0),
        (True, {"first_step_seen": False, "attached": False, "step": 7}, 1.0),
        (True, {"first_step_seen": False, "failure": "disk_full"}, 1.0),
    ],
)
def test_other_failures_are_charged_as_ever(
    is_warm: bool, facts: dict[str, object], ran_s: float
) -> None:
    """Charged are cold starts, starts with signs of steps, and full disks (for the day only)."""
    one = warm_world()
    one.feed(Started(one.state.attempt, is_warm=is_warm))
    one.now += ran_s
    before = one.state.budget.failures
    one.end(**facts)
    is_full = facts.get("failure") == "disk_full"  # a full disk costs the day's budget only
    assert one.state.budget.failures == before + (0 if is_full else 1)
    assert len(one.state.budget.recent) > 0
    assert folded(one) is one.state.warm is WarmTrust.TRUSTED
