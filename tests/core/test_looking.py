"""Looks prove a hang, not time alone: what looks show and what follows, on a fake clock."""

from dataclasses import replace
from typing import Any

import pytest

from supervisor.core.effects import Effect, Look, Say, SendStop, TakeStacks
from supervisor.core.events import Begun, Looked, Observed, StacksTaken, Suspended, Tick
from supervisor.core.look_facts import HungAt, RankSeen
from supervisor.core.policy import Policy
from supervisor.core.rules.hang_evidence import Sight, judge
from supervisor.core.rules.resumption import initial_state
from supervisor.core.vocabulary import Intent, Phase, RunState
from tests.core.world import World, checkpoint, history_of

NAME = "rank 0 (pid 7)"
STILL = RankSeen(NAME)
AT_WORK = RankSeen(NAME, moved=("CPU (1.00 cores)",))
IN_BARRIER = RankSeen(NAME, waits_in="barrier")
SPINNING = RankSeen(NAME, waits_in="all_reduce", moved=("CPU (1.00 cores)",))
OTHER = "rank 1 (pid 8)"

UNREAD = RankSeen(OTHER, unread="what is sent cannot be read")


def looked(*ranks: RankSeen, moved: tuple[str, ...] = ()) -> Looked:
    """The answer to an order to look."""
    return Looked(1, 0.0, ranks, moved)


@pytest.mark.parametrize(
    ("seen", "sight"),
    [
        (looked(STILL), Sight.STILL),
        (looked(AT_WORK), Sight.WORK),
        (looked(STILL, moved=("train.log grew",)), Sight.WORK),
        (looked(RankSeen(NAME, is_stopped=True)), Sight.MISSING),
        (looked(RankSeen(NAME, is_stopped=True), RankSeen(OTHER, moved=("CPU",))), Sight.MISSING),
        (looked(IN_BARRIER, RankSeen(OTHER)), Sight.MISSING),
        (looked(SPINNING, RankSeen(OTHER)), Sight.MISSING),
        (looked(SPINNING, RankSeen(OTHER, moved=("its stack changes",))), Sight.WORK),
        (looked(IN_BARRIER, RankSeen(OTHER, moved=("its stack changes",))), Sight.WORK),
        (looked(IN_BARRIER, RankSeen(OTHER, blocked="a disk (D)")), Sight.UNCLEAR),
        (looked(IN_BARRIER, RankSeen(OTHER, is_known=False)), Sight.UNCLEAR),
        (looked(IN_BARRIER, RankSeen(OTHER), moved=("GPU 0 (97 %)",)), Sight.WORK),
        (looked(IN_BARRIER, RankSeen(OTHER, waits_in="barrier")), Sight.STILL),
        (looked(RankSeen(NAME, waits_in="barrier", blocked="ranks not seen here")), Sight.UNCLEAR),
        (looked(STILL, RankSeen(OTHER, is_gone=True)), Sight.MISSING),
        (looked(SPINNING, RankSeen(OTHER, is_gone=True)), Sight.MISSING),
        (looked(AT_WORK, RankSeen(OTHER, is_gone=True)), Sight.WORK),
        (looked(RankSeen(NAME, blocked="a disk (nfs)")), Sight.UNCLEAR),
        (looked(RankSeen(NAME, is_known=False)), Sight.UNCLEAR),
        (looked(RankSeen(NAME, is_known=False, moved=("CPU",))), Sight.WORK),
        (looked(UNREAD), Sight.UNCLEAR),
        (looked(replace(UNREAD, moved=("CPU",))), Sight.WORK),
        (looked(replace(UNREAD, is_stopped=True)), Sight.MISSING),
        (looked(UNREAD, RankSeen(OTHER, is_gone=True)), Sight.UNCLEAR),
        (looked(IN_BARRIER, UNREAD), Sight.UNCLEAR),
        (looked(), Sight.UNCLEAR),
    ],
)
def test_what_looks_show(seen: Looked, sight: Sight) -> None:
    """Only ranks that are all still are a hang; waiting for work is work, a slow disk unclear."""
    assert judge(seen).sight is sight


def test_the_missing_rank_is_named() -> None:
    """A reader of the reason has to know which rank is missing."""
    assert OTHER in judge(looked(SPINNING, RankSeen(OTHER))).what.split("waiting for")[1]
    assert judge(looked(RankSeen(OTHER, is_stopped=True))).what.startswith(OTHER)
    assert OTHER in judge(looked(STILL, RankSeen(OTHER, is_gone=True))).what


class Watched(World):
    """A world whose trainer is observed twice a second, and whose looks get an answer."""

    def begin_at(self, resumed: int | None = None) -> None:
        """Launch the first attempt, resumed from this step."""
        self.checkpoints = () if resumed is None else (checkpoint(resumed),)
        self.begin()
        self.beat_at = self.now
        self.seen: tuple[RankSeen, ...] = (STILL,)

    def observe(self, **facts: Any) -> list[Effect]:
        """Observe once; answer an order to look after its span, which is ten seconds by default."""
        base: dict[str, Any] = {"attached": True, "beating": True, "phase": Phase.STEP, "step": 5}
        base |= {"beat_age_s": self.now - self.beat_at, **facts}
        effects = self.feed(Observed(self.state.attempt, **base))
        order = next((e for e in effects if isinstance(e, Look)), None)
        if order is not None:
            self.now += order.span_s
            answer = Looked(self.state.attempt, order.asked_at, self.seen)
            effects = [*effects, *self.feed(answer)]
        return effects

    def stand(self, seconds: float, **facts: Any) -> None:
        """Let this many seconds pass without a beat, or until the attempt is being ended."""
        until = self.now + seconds
        while self.now < until and self.state.run is RunState.RUNNING:
            self.now += 0.5
            self.observe(**facts)

    def steps(self, **facts: Any) -> None:
        """Beat once with steps of 0.1 s."""
        self.beat_at = self.now
        self.observe(gap_s=0.1, **facts)

    def killed(self, step: int) -> None:
        """End the attempt that is being killed as hung, and launch the next."""
        self.feed(StacksTaken(self.state.attempt))
        self.launched(self.end(code=None, signal=9, step=step))
        self.now = self.state.wake_at or self.now
        if self.state.run is RunState.BACKOFF:
            self.feed(Tick())
            self.launched(self.survey())
        self.beat_at = self.now

    def lines(self) -> list[str]:
        """The printed lines."""
        return [effect.line for effect in self.effects if isinstance(effect, Say)]


def watched(resumed: int | None = None, **policy: Any) -> Watched:
    """A run whose first attempt has made steps of 0.1 s."""
    world = Watched(policy=Policy(**policy))
    world.begin_at(resumed)
    world.now += 2.0
    world.steps()
    return world


def test_the_deadline_only_says_when_to_look() -> None:
    """After 60 s a look is ordered, and its answer brings the kill."""
    world = watched()
    world.stand(59.0)
    assert not any(isinstance(e, Look) for e in world.effects)
    world.stand(2.0)
    assert any(isinstance(e, Look) for e in world.effects)
    assert world.state.run is RunState.KILLING
    assert world.state.kill is not None
    assert "nothing moves" in world.state.kill.reason
    assert world.now - world.beat_at < 75.0


@pytest.mark.parametrize(
    "seen",
    [
        (RankSeen(NAME, is_stopped=True),),
        (SPINNING, RankSeen(OTHER)),
        (STILL, RankSeen(OTHER, is_gone=True)),
    ],
)
def test_a_missing_rank_is_a_hang_at_once(seen: tuple[RankSeen, ...]) -> None:
    """The CPU time that other ranks use while they wait does not matter."""
    world = watched()
    world.seen = seen
    world.stand(80.0)
    assert world.state.run is RunState.KILLING


def test_twenty_minutes_of_evaluation_are_work_again_and_again() -> None:
    """Long evaluations are reported once and not killed; a hang afterwards is found as quickly."""
    world = watched()
    for _ in range(5):
        world.seen = (AT_WORK,)
        world.stand(1200.0)
        assert world.state.run is RunState.RUNNING
        world.beat_at = world.now
        world.observe(gap_s=1200.0)
        for _ in range(20):
            world.now += 0.5
            world.steps()
    assert len([line for line in world.lines() if "at work" in line]) == 1
    assert len(world.records("looked")) == 1
    world.seen = (STILL,)
    world.stand(75.0)
    assert world.state.run is RunState.KILLING


def test_steps_that_became_slow_are_learned() -> None:
    """Two slow steps in a row are no evaluations: the deadline adapts to them."""
    world = watched()
    world.seen = (AT_WORK,)
    for _ in range(3):
        world.stand(70.0)
        world.beat_at = world.now
        world.observe(gap_s=70.0)
    assert world.state.learned.get(Phase.STEP) == 70.0
    before = sum(isinstance(e, Look) for e in world.effects)
    world.stand(300.0)
    assert sum(isinstance(e, Look) for e in world.effects) == before


@pytest.mark.parametrize(("limit_s", "longest_s"), [(2.0, 1800.0), (60.0, 1800.0), (400.0, 4000.0)])
def test_a_retry_loop_is_found(limit_s: float, longest_s: float) -> None:
    """An attempt that moves for ever is a hang after ten deadlines, but at least half an hour."""
    world = watched(heartbeat_timeout_s=limit_s)
    world.seen = (RankSeen(NAME, moved=("its stack changes",)),)
    world.stand(longest_s - 15.0)
    assert world.state.run is RunState.RUNNING
    world.stand(60.0)
    assert world.state.run is RunState.KILLING
    assert sum(isinstance(e, Look) for e in world.effects) < 15


def test_what_hangs_after_work_is_found() -> None:
    """After 5 minutes of work, a hang is found in twice that time, not after half an hour."""
    world = watched()
    world.seen = (AT_WORK,)
    world.stand(300.0)
    world.seen = (STILL,)
    world.stand(320.0)
    assert world.state.run is RunState.KILLING


@pytest.mark.parametrize(
    "seen", [RankSeen(NAME, is_known=False), RankSeen(NAME, blocked="a disk (D)")]
)
def test_where_looks_tell_nothing_the_longer_time_decides(seen: RankSeen) -> None:
    """Without ptrace, or with a blocked disk, half an hour decides instead of a minute."""
    world = watched()
    world.seen = (seen,)
    world.stand(1780.0)
    assert world.state.run is RunState.RUNNING
    world.stand(60.0)
    assert world.state.run is RunState.KILLING


def test_a_sign_of_life_ends_the_looks() -> None:
    """An answer to a look is ignored if a beat came before it."""
    world = watched()
    world.now += 61.0
    world.feed(Observed(1, attached=True, beating=True, phase=Phase.STEP, beat_age_s=61.0))
    asked_at = world.state.activity.looks.asked_at
    assert asked_at is not None
    world.feed(Observed(1, attached=True, beating=True, phase=Phase.STEP, beat_age_s=0.1))
    world.feed(Looked(1, asked_at, (STILL,)))
    assert world.state.run is RunState.RUNNING


def test_looks_of_a_suspended_machine_prove_nothing() -> None:
    """After a suspend all ages begin anew."""
    world = watched()
    world.now += 61.0
    world.feed(Observed(1, attached=True, beating=True, phase=Phase.STEP, beat_age_s=61.0))
    asked_at = world.state.activity.looks.asked_at
    assert asked_at is not None
    world.feed(Suspended(600.0))
    world.feed(Observed(1, attached=True, beating=True, phase=Phase.STEP, beat_age_s=661.0))
    world.feed(Looked(1, asked_at, (STILL,)))
    assert world.state.run is RunState.RUNNING


def test_looks_that_are_never_answered() -> None:
    """Unanswered looks are ordered again, and the longer time decides without them."""
    world = watched()
    facts: dict[str, Any] = {"attached": True, "beating": True, "phase": Phase.STEP}
    orders = 0
    while world.state.run is RunState.RUNNING and world.now - world.beat_at < 4000.0:
        world.now += 10.0
        effects = world.feed(Observed(1, beat_age_s=world.now - world.beat_at, **facts))
        orders += sum(isinstance(e, Look) for e in effects)
    assert 2 <= orders <= 40
    assert world.state.run is RunState.KILLING
    assert world.now - world.beat_at > 1800.0


def test_a_look_is_taken_within_the_deadline_that_somebody_configured() -> None:
    """A look spans ten seconds, or a shorter deadline, but at least five."""
    for limit_s, span_s in ((2.0, 5.0), (7.0, 7.0), (60.0, 10.0)):
        world = watched(heartbeat_timeout_s=limit_s)
        world.stand(limit_s + 2.0)
        (order,) = [e for e in world.effects if isinstance(e, Look)]
        assert order.span_s == span_s


def test_no_step_is_expected_after_the_last_one() -> None:
    """After `finish.step`, or the trainer's own last step, the first look is after half an hour."""
    kinds: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"step": 200}, {"finish_step": 200}),
        ({"phase": Phase.FINAL}, {}),
        ({"is_at_total": True}, {}),
    ]
    for facts, policy in kinds:
        world = watched(heartbeat_timeout_s=2.0, **policy)
        world.steps(**facts)
        world.stand(1790.0, **facts)
        assert not any(isinstance(e, Look) for e in world.effects)
        world.stand(30.0, **facts)
        assert world.state.run is RunState.KILLING


def test_a_final_evaluation_that_sleeps_costs_one_kill_at_most() -> None:
    """The next attempt resumes at the step where the last one hung, so its time is doubled."""
    world = watched(100)
    world.steps(step=200)
    world.checkpoints = (checkpoint(200), checkpoint(100))
    world.stand(80.0, step=200)
    assert world.state.run is RunState.KILLING
    world.killed(200)
    assert (world.state.attempt, world.state.begun_at) == (2, 200)
    assert world.state.hung_at == HungAt(200, 1)
    startup = {"beating": False, "phase": Phase.STARTUP, "step": None}
    world.stand(235.0, **startup)
    assert world.state.run is RunState.RUNNING
    assert len([line for line in world.lines() if "it is given 4 min" in line]) == 1
    world.launched(world.end(code=0, outcome_code=None, failure="completed", step=None))
    assert world.state.run is RunState.COMPLETED


def test_standing_at_the_same_step_again_is_not_the_same_death() -> None:
    """Each hang at the same step doubles the time; failures without progress hold the run."""
    world = watched(100)
    took = []
    while world.state.run is RunState.RUNNING:
        world.steps(step=150)
        began = world.now
        world.stand(4000.0, step=150)
        took.append(world.now - began)
        world.killed(150)
    assert world.state.run is RunState.HELD
    assert [round(seconds, -1) for seconds in took] == [70.0, 130.0, 250.0, 490.0, 970.0]
    assert "5 failures" in world.state.reason
    assert "the same death" not in world.state.reason


def test_another_step_is_another_hang() -> None:
    """Only a hang at the same step, give or take one, doubles the time."""
    world = watched(100)
    world.steps(step=150)
    world.stand(80.0, step=150)
    world.killed(150)
    world.steps(step=160)
    world.stand(75.0, step=160)
    assert world.state.run is RunState.KILLING


def test_the_next_daemon_knows_where_it_hung() -> None:
    """The ledger records the step; progress beyond it, or `resume`, clears it."""
    entries: list[dict[str, Any]] = [
        {"type": "attempt_started", "attempt": 1, "checkpoint": None},
        {"type": "attempt_ended", "attempt": 1, "failure": "hang", "step": 200},
        {"type": "attempt_started", "attempt": 2, "checkpoint": {"path": "c", "step": 200}},
    ]
    past = history_of(entries)
    assert (past.hung_at, past.begun_at) == (HungAt(200), 200)
    state = initial_state(past, Policy(), now=0.0, wall=0.0)
    assert (state.hung_at, state.begun_at) == (HungAt(200), 200)
    again = {"type": "attempt_ended", "attempt": 2, "failure": "hang", "step": None}
    assert history_of([*entries, again]).hung_at == HungAt(200, 2)
    assert history_of([*entries, {"type": "progress", "step": 200}]).hung_at == HungAt(200)
    assert history_of([*entries, {"type": "progress", "step": 210}]).hung_at is None
    assert history_of([{"type": "progress", "step": 210}, *entries]).hung_at is None
    assert history_of([*entries, {"type": "resumed", "intent_id": "i"}]).hung_at is None


def test_rollouts_between_bursts_of_steps() -> None:
    """Two seconds of steps, then 90 s of rollouts, many times: no kill, and one report."""
    world = watched()
    for _ in range(100):
        for _ in range(4):
            world.now += 0.5
            world.steps()
        world.seen = (RankSeen(NAME, moved=("python (pid 9) was started",)),)
        world.stand(90.0)
        assert world.state.run is RunState.RUNNING
        world.beat_at = world.now
        world.observe(gap_s=90.0)
    assert len(world.records("looked")) == 1


def test_the_next_daemon_looks_again() -> None:
    """A daemon that dies amid looks leaves an overdue attempt, and the next daemon looks again."""
    world = World()
    world.feed(Begun(Intent.RUN, alive=True))
    late = {"attached": True, "beating": True, "phase": Phase.STEP, "beat_age_s": 4000.0}
    effects = world.feed(Observed(0, **late))  # type: ignore[arg-type]
    assert any(isinstance(e, Look) for e in effects)
    world.looked()
    assert world.state.run is RunState.KILLING


def test_a_hang_at_a_step_that_nobody_knows_is_over_with_the_next_progress() -> None:
    """Without this, each deadline of the run would stay doubled."""
    ended = {"type": "attempt_ended", "attempt": 1, "failure": "hang", "step": None}
    entries: list[dict[str, Any]] = [
        {"type": "attempt_started", "attempt": 1, "checkpoint": None, "resumes_by": "trainer"},
        {**ended, "charged": True},
    ]
    assert history_of(entries).hung_at == HungAt(None)
    assert history_of([*entries, {"type": "progress", "step": 10}]).hung_at is None
    world = World(policy=Policy(trainer_finds_checkpoints=True))
    world.begin()
    world.checkpoints = (checkpoint(10),)
    world.end(failure="hang", attached=True)
    assert world.state.hung_at == HungAt(None), "what it had saved before was no way out"
    world.now += 1000.0
    world.feed(Tick())
    world.launched(world.survey())
    world.checkpoints = (checkpoint(20), *world.checkpoints)
    world.survey()
    assert world.state.hung_at is None


def test_the_limit_that_was_in_force_is_named() -> None:
    """After a hang at the same step, the reason names the doubled limit."""
    world = watched(100)
    for limit in ("60 s", "120 s"):
        world.steps(step=150)
        world.stand(200.0, step=150)
        assert world.state.kill is not None
        assert f"(limit {limit})" in world.state.kill.reason
        world.killed(150)


def test_silence_with_work_is_never_a_hang() -> None:
    """Silent computing is reported once and goes on as long as it likes; standing still ends it."""
    world = Watched(policy=Policy(log_silence_s=60.0, restart_on_silence=True))
    world.begin_at()
    world.seen = (RankSeen("the program (pid 7)", moved=("CPU (1.00 cores)",)),)
    facts: dict[str, Any] = {"attached": False, "beating": False, "stood_still": True}
    for age in range(61, 9000, 20):
        world.now += 20.0
        world.observe(log_age_s=float(age), **facts)
    assert world.state.run is RunState.RUNNING
    assert sum(isinstance(e, TakeStacks) for e in world.effects) == 1
    world.seen = (RankSeen("the program (pid 7)"),)
    while world.state.run is RunState.RUNNING:
        world.now += 20.0
        world.observe(log_age_s=world.now, **facts)
    assert world.records("hung")[0]["failure"] == "hang"


def test_what_lingers_is_looked_at() -> None:
    """An upload after `finish` may take an hour: it is ended only when nothing moves."""
    world = watched()
    world.seen = (AT_WORK,)
    for age in range(10, 3600, 10):
        world.now += 10.0
        world.observe(ended_age_s=float(age))
    assert world.state.run is RunState.RUNNING
    world.seen = (STILL,)
    for age in range(3600, 7200, 10):
        world.now += 10.0
        world.observe(ended_age_s=float(age))
    assert world.state.run is RunState.KILLING
    assert world.records("hung")[0]["failure"] is None
    assert any(isinstance(e, SendStop) for e in world.feed(StacksTaken(1)))
