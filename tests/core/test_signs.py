"""Signs of life of a loop without adapter: when it is looked at, and how it ends at a stop."""

from dataclasses import replace
from typing import Any

import pytest

from supervisor.core.effects import (
    Effect,
    Look,
    Record,
    Say,
    SendKill,
    SendStop,
    TakeStacks,
    Terminate,
)
from supervisor.core.events import Looked, Observed, StopAsked, Surveyed, Suspended, Tick
from supervisor.core.look_facts import RankSeen
from supervisor.core.policy import Policy
from supervisor.core.rules.resumption import initial_state
from supervisor.core.sign_of_life import OwnSave, SaveTimes, SignPhase, SignsSeen, StopAnswer
from supervisor.core.states import Checkpoint
from supervisor.core.vocabulary import RunState, StopSource
from tests.core.world import World, checkpoint, history_of

NAME = "rank 0 (pid 7)"
STILL = (RankSeen(NAME),)
AT_WORK = (RankSeen(NAME, moved=("CPU (1.00 cores)",)),)
UNREAD = (RankSeen(NAME, is_known=False),)
UNHEARD = (RankSeen(NAME, unread="what is sent over the network cannot be read (refused)"),)
STOPPED = (RankSeen(NAME, is_stopped=True),)


class Loop(World):
    """A world whose trainer gives only signs of life, and whose looks get an answer."""

    seen: tuple[RankSeen, ...] = STILL

    def started(self) -> "Loop":
        """Launch the first attempt, which gives two signs."""
        self.begin()
        self.sign_at = self.now
        self.signs()
        return self

    def signs(self, **facts: Any) -> list[Effect]:
        """The signs are read; by default one came just now."""
        self.sign_at = facts.pop("last_at", self.now)
        base = {"processes": 1, "last_at": self.sign_at, "longest_gap_s": 1.0}
        return self.feed(SignsSeen(self.state.attempt, **{**base, **facts}))  # type: ignore[arg-type]

    def observe(self, **facts: Any) -> list[Effect]:
        """Observe once, and answer an order to look after its span."""
        effects = self.feed(Observed(self.state.attempt, log_age_s=self.now - 900.0, **facts))
        order = next((one for one in effects if isinstance(one, Look)), None)
        if order is not None:
            self.now += order.span_s
            looked = Looked(self.state.attempt, order.asked_at, self.seen)
            effects = [*effects, *self.feed(looked)]
        return effects

    def silence(self, seconds: float, pace_s: float = 5.0, **facts: Any) -> None:
        """Let time pass without a sign, or until the attempt is being ended."""
        until = self.now + seconds
        while self.now < until and self.state.run is RunState.RUNNING:
            self.now += pace_s
            self.observe(**facts)

    def looks(self) -> int:
        """How often looks were ordered."""
        return sum(isinstance(one, Look) for one in self.effects)

    def lines(self) -> str:
        """What was said."""
        return "\n".join(one.line for one in self.effects if isinstance(one, Say))


def loop(**policy: Any) -> Loop:
    """A run whose first attempt has given two signs."""
    return Loop(policy=Policy(**policy)).started()


@pytest.mark.parametrize(
    ("policy", "facts", "limit_s"),
    [
        ({}, {}, 900.0),
        ({}, {"longest_gap_s": 60.0}, 900.0),
        ({}, {"longest_gap_s": 300.0}, 3000.0),
        ({"heartbeat_timeout_s": 30.0}, {"longest_gap_s": 300.0}, 30.0),
        ({"heartbeat_timeout_s": 7200.0}, {}, 7200.0),
        # A long save teaches nothing about the time between signs outside of saves.
        ({}, {"longest_phase_s": 300.0}, 900.0),
        ({}, {"longest_phase_s": 300.0, "phase": SignPhase.SAVE}, 3000.0),
        ({}, {"longest_phase_s": 300.0, "phase": SignPhase.LOAD}, 3000.0),
        ({}, {"longest_gap_s": 300.0, "phase": SignPhase.SAVE}, 3000.0),
    ],
)
def test_the_limit(policy: dict[str, Any], facts: dict[str, Any], limit_s: float) -> None:
    """Fifteen minutes, or ten times the longest gap; a configured limit holds as it is."""
    world = loop(**policy)
    world.signs(**facts)
    world.silence(limit_s - 1.0, pace_s=limit_s / 100)
    assert world.looks() == 0
    world.silence(limit_s / 10, pace_s=limit_s / 100)
    assert world.looks() == 1
    assert world.state.run is RunState.KILLING
    (hung,) = world.records("hung")
    assert "no sign of life" in str(hung["reason"])
    assert "nothing moves" in str(hung["reason"])


@pytest.mark.parametrize(
    "facts",
    [
        {"processes": 0, "last_at": None},
        {"processes": 1, "last_at": None},
    ],
)
def test_without_two_signs_of_a_living_process_nothing_is_judged(facts: dict[str, Any]) -> None:
    """A process that has ended, or has given one sign, is no reason to look."""
    world = Loop()
    world.begin()
    world.signs(**facts)
    world.silence(1500.0)
    assert world.looks() == 0


def test_a_process_that_ended_is_forgotten() -> None:
    """A first stage has ended, and a second one that gives no signs goes on."""
    world = loop()
    world.signs(processes=0, last_at=None)
    world.silence(1700.0)
    assert (world.looks(), world.state.activity.signs) == (0, None)


def test_a_page_alone_counts() -> None:
    """An attached rank is judged by its beats, whatever signs were read before."""
    world = loop()
    beats = {"attached": True, "beating": True, "gap_s": 0.1, "step": 5}
    world.silence(3000.0, **beats)
    assert world.looks() == 0


def test_no_sign_is_a_step() -> None:
    """Signs begin no attempt, fill no budget and count as no training."""
    world = loop()
    for _ in range(100):
        world.now += 10.0
        world.signs()
        world.observe()
    assert world.records("first_step") == []
    assert world.state.account.training_s == 0.0
    assert (world.state.budget.progress_step, world.state.activity.step) == (None, None)
    assert not world.state.ever_attached


def test_signs_keep_a_silent_log_from_being_told() -> None:
    """A loop that prints nothing for hours and gives signs is no silent trainer."""
    world = loop()
    for _ in range(1000):
        world.now += 10.0
        world.signs()
        world.observe()
    assert world.effects[-1] in world.effects
    assert "silent" not in world.lines()
    assert not any(isinstance(one, TakeStacks) for one in world.effects)


@pytest.mark.parametrize("seen", [AT_WORK, UNREAD, UNHEARD])
def test_what_moves_is_never_ended(seen: tuple[RankSeen, ...]) -> None:
    """A week without a sign: one incident, one sentence, and looks at growing pauses."""
    world = loop()
    world.seen = seen
    world.silence(7 * 86400.0, pace_s=60.0)
    assert world.state.run is RunState.RUNNING
    assert sum(isinstance(one, TakeStacks) for one in world.effects) == 1
    assert world.lines().count("no sign of life") == 1
    (entry,) = world.records("looked")
    assert entry["is_work"] is (seen is AT_WORK)
    assert ("that is no proof of a hang" in world.lines()) is (seen is not AT_WORK)
    assert 150 < world.looks() < 180, "an hour apart at last"


def test_each_silence_is_told_once() -> None:
    """After a sign a new silence is told again; the ledger's entry stands once."""
    world = loop()
    world.seen = AT_WORK
    for count in (1, 2, 3):
        world.silence(4000.0, pace_s=30.0)
        assert sum(isinstance(one, TakeStacks) for one in world.effects) == count
        world.signs()
        world.observe()
    assert len(world.records("looked")) == 1


@pytest.mark.parametrize("seen", [STILL, STOPPED], ids=["still", "stopped"])
def test_a_hang_that_follows_work_is_found(seen: tuple[RankSeen, ...]) -> None:
    """Work for a while, then nothing moves any more: a later look ends it."""
    world = loop()
    world.seen = AT_WORK
    world.silence(3000.0)
    world.seen = seen
    world.silence(4000.0)
    assert world.state.run is RunState.KILLING


def test_a_sign_during_the_looks_calls_them_off() -> None:
    """The answer of looks that were ordered before the sign ends nothing."""
    world = loop()
    world.now += 901.0
    order = next(one for one in world.feed(Observed(1)) if isinstance(one, Look))
    world.signs()
    world.feed(Observed(1))
    assert world.feed(Looked(1, order.asked_at, STILL)) == []
    assert world.state.run is RunState.RUNNING


def test_no_look_was_answered() -> None:
    """Looks that never answer prove nothing: they are ordered again and again."""
    world = loop()
    for _ in range(200):
        world.now += 61.0
        world.feed(Observed(1))
    assert world.state.run is RunState.RUNNING
    assert world.looks() > 100


def test_a_suspended_machine() -> None:
    """After a suspend the silence counts anew."""
    world = loop()
    world.now += 5000.0
    world.feed(Suspended(4990.0))
    world.silence(890.0)
    assert world.looks() == 0
    world.silence(60.0)
    assert world.looks() == 1


def test_an_evaluation_teaches_its_length_to_the_next_attempt_and_the_next_daemon() -> None:
    """A gap of twenty minutes that ended is on record: the limit is 200 minutes from then on."""
    world = loop()
    world.seen = AT_WORK
    world.silence(1200.0)
    world.signs(longest_gap_s=1200.0)
    (entry,) = world.records("signs")
    assert entry == {
        "type": "signs", "attempt": 1, "longest_gap_s": 1200.0, "longest_phase_s": 0.0,
    }  # fmt: skip
    world.end()
    world.now += 100.0
    world.feed(Tick())
    world.launched(world.survey())
    world.signs()
    before = world.looks()
    world.silence(11900.0, pace_s=60.0)
    assert (world.state.attempt, world.looks()) == (2, before)
    state = initial_state(history_of([entry]), Policy(), now=0.0, wall=0.0)
    assert state.learned.sign_gap_s == 1200.0


def test_a_gap_that_lasts_teaches_nothing() -> None:
    """Only a next sign ends a gap; the file's longest gap does not grow before."""
    world = loop()
    world.seen = AT_WORK
    world.silence(5000.0)
    world.signs(last_at=world.sign_at)
    assert world.state.learned.sign_gap_s == 1.0
    assert world.records("signs") == []


def test_the_ledger_gets_few_entries() -> None:
    """A gap that grows by a second a thousand times is recorded as it has grown by a tenth."""
    world = loop()
    for gap in range(1, 1000):
        world.signs(longest_gap_s=float(gap))
    gaps = [entry["longest_gap_s"] for entry in world.records("signs")]
    assert gaps[0] == 60.0
    assert len(gaps) < 32


def test_after_a_hang_without_progress_the_limit_doubles() -> None:
    """A wait that only looks like a hang is not ended at the same place again and again."""
    world = loop(heartbeat_timeout_s=30.0)
    world.silence(100.0)
    world.end(failure="hang", attached=False)
    world.now += 1000.0
    world.feed(Tick())
    world.launched(world.survey())
    world.signs()
    began = world.now
    world.silence(1000.0, pace_s=1.0)
    assert world.state.run is RunState.KILLING
    assert 60.0 < world.now - began < 80.0
    assert "This attempt may be at work, so it is given 60 s" in world.lines()


def stopping(answer: StopAnswer = StopAnswer.WAITS, **more: Any) -> Loop:
    """A loop with a checkpoint of step 100, asked to stop, that answers so."""
    world = Loop(checkpoints=(checkpoint(100, written=900.0),)).started()
    world.survey()
    world.signs(stop=StopAnswer.HANDLED)
    world.feed(StopAsked(StopSource.SIGTERM, wall=1000.0))
    world.now += 1.0
    world.signs(stop=answer, **more)
    return world


def news(world: Loop, *found: Checkpoint) -> list[Effect]:
    """A survey that no decision waits for."""
    return world.feed(Surveyed(candidates=found, exists=True, deciding=False))


def waits(world: Loop, saves: SaveTimes | None, **more: Any) -> list[Effect]:
    """The loop still waits for its own save; these are the times that surveys have shown."""
    return world.signs(stop=StopAnswer.WAITS, saves=saves, **more)


SAVED = checkpoint(130, written=1030.0)
BEFORE = checkpoint(100, written=900.0)


def test_a_loop_is_ended_after_its_own_save() -> None:
    """SIGTERM comes once more when a checkpoint newer than the stop is proven, and not before."""
    world = stopping()
    assert world.state.run is RunState.DRAINING
    assert "its own next save" in world.lines()
    assert world.records("own_save_awaited") == [
        {"type": "own_save_awaited", "attempt": 1, "left_s": 119.0}
    ]
    world.now += 20.0
    assert news(world, BEFORE) == []
    assert not any(isinstance(one, Terminate) for one in world.effects)
    effects = news(world, SAVED, BEFORE)
    assert Terminate(1) in effects
    assert not any(isinstance(one, Terminate) for one in news(world, SAVED, BEFORE))
    world.checkpoints = (SAVED, BEFORE)
    world.end(code=None, signal=15)
    assert world.state.reason == "stopped by SIGTERM, saved at its own save, step 130"
    assert world.records("attempt_ended")[0]["saved"] is True
    assert world.state.run is RunState.PREEMPTED


@pytest.mark.parametrize("code", [75, 0, 143, 1])
def test_a_loop_that_ends_itself_after_its_save(code: int) -> None:
    """A launcher in between may hide the exit code: the checkpoint decides."""
    world = stopping()
    world.checkpoints = (SAVED, BEFORE)
    world.end(code=code)
    assert world.state.reason == "stopped by SIGTERM, saved at its own save, step 130"
    assert world.exit_codes() == [75]


def test_a_save_that_does_not_come() -> None:
    """Shortly before the grace is over it is ended by SIGTERM, and told as unsaved."""
    world = stopping()
    grace_s = world.policy.grace_s
    world.now = 1000.0 + grace_s - 3.5
    assert world.feed(Tick()) == []
    world.now = 1000.0 + grace_s - 2.9
    assert Terminate(1) in world.feed(Tick())
    assert world.state.stop is not None
    assert world.state.stop.own_save is OwnSave.MISSED
    world.now = 1000.0 + grace_s - 0.1
    assert world.feed(Tick()) == []
    world.checkpoints = (BEFORE,)
    world.end(code=None, signal=15)
    assert "nothing was saved: its next save did not come within the grace" in world.state.reason
    assert "newest checkpoint: step 100" in world.state.reason
    assert world.records("attempt_ended")[0]["saved"] is False


def test_a_save_that_turns_out_to_come_too_late() -> None:
    """A save from just before the stop is proven later: the next save is too late to wait for."""
    world = stopping(saves=SaveTimes(901.0, 1001.0))
    assert Terminate(1) not in waits(world, SaveTimes(999.0, 1119.0))
    assert Terminate(1) in waits(world, SaveTimes(999.0, 1200.0))
    assert "is not due within the grace: it is ended now" in world.lines()
    assert waits(world, SaveTimes(999.0, 1200.0)) == []
    world.checkpoints = (BEFORE,)
    world.end(code=None, signal=15)
    assert "its next save was not due within the grace" in world.state.reason


@pytest.mark.parametrize(
    ("saves", "phase"),
    [
        (None, SignPhase.NONE),
        # The awaited save itself is proven, and its survey has not been judged yet.
        (SaveTimes(1020.0, 1220.0), SignPhase.NONE),
        (SaveTimes(999.0, 1200.0), SignPhase.SAVE),
    ],
)
def test_nothing_ends_a_loop_in_the_middle_of_its_own_save(
    saves: SaveTimes | None, phase: SignPhase
) -> None:
    """Until a save from before the stop is proven, the loop may be at the one it is awaited for."""
    world = stopping()
    world.now += 20.0
    assert waits(world, saves, phase=phase) == []
    assert world.state.stop is not None
    assert world.state.stop.own_save is OwnSave.AWAITED
    assert Terminate(1) in news(world, SAVED, BEFORE)


def test_a_save_that_is_complete_and_not_proven_is_no_save_that_did_not_come() -> None:
    """The proof takes seconds. The line says what is known; the end says what was saved."""
    world = stopping()
    world.now = 1000.0 + world.policy.grace_s - 2.9
    assert Terminate(1) in world.feed(Tick())
    (line,) = (one for one in world.lines().splitlines() if "is ended now" in one)
    assert "is not complete and proven" in line
    world.checkpoints = (SAVED, BEFORE)
    world.end(code=None, signal=15)
    assert world.state.reason == "stopped by SIGTERM, saved at its own save, step 130"


def test_a_loop_in_c_code_is_killed_when_the_grace_is_over() -> None:
    """It answers no SIGTERM, neither the first nor the second."""
    world = stopping()
    world.now = 1000.0 + world.policy.grace_s - 1.0
    world.feed(Tick())
    world.now += 1.5
    assert any(isinstance(one, SendKill) for one in world.feed(Tick()))


@pytest.mark.parametrize("answer", [StopAnswer.HANDLED, StopAnswer.ENDS])
def test_no_save_is_due(answer: StopAnswer) -> None:
    """The loop ends at once, and that is said; nothing is sent or awaited.

    If it never came to answer, in C code, nothing is said of its saves.
    """
    world = stopping(StopAnswer.HANDLED)
    world.signs(processes=0, last_at=None, stop=answer)
    assert world.records("own_save_awaited") == []
    world.checkpoints = (BEFORE,)
    world.end(code=None, signal=15)
    why = "nothing was saved: its next save was not due within the grace"
    assert (why in world.state.reason) is (answer is StopAnswer.ENDS)


def test_a_stop_that_nobody_waits_for_is_as_it_was() -> None:
    """Without a handler nothing is awaited, and the words are as before."""
    world = stopping(StopAnswer.NONE)
    kinds = {type(one) for one in world.effects}
    assert not kinds & {Terminate}
    world = Loop(checkpoints=(BEFORE,)).started()
    world.survey()
    world.feed(StopAsked(StopSource.SIGTERM, wall=1000.0))
    world.end(code=None, signal=15)
    assert "own save" not in world.state.reason
    assert "next save" not in world.state.reason


def test_the_scheduler_leaves_less_time() -> None:
    """The limit of the job counts for the wait, too."""
    world = stopping()
    assert world.state.stop is not None
    world.state = replace(world.state, stop=replace(world.state.stop, until=1020.0))
    assert world.state.stop is not None
    assert 1017.0 <= world.state.stop.gives_up_at < 1020.0


def test_the_next_daemon_goes_on_waiting() -> None:
    """It sees the loop wait, and ends it after its save as the daemon before would have."""
    world = stopping()
    stop = world.state.stop
    assert stop is not None
    world.state = replace(world.state, stop=replace(stop, own_save=None))
    world.signs(stop=StopAnswer.WAITS)
    assert Terminate(1) in news(world, SAVED, BEFORE)


def test_a_third_interrupt_still_kills() -> None:
    """A user who presses Ctrl-C three times does not wait for the save."""
    world = Loop(checkpoints=(BEFORE,)).started()
    world.feed(StopAsked(StopSource.SIGINT))
    world.signs(stop=StopAnswer.WAITS)
    world.feed(StopAsked(StopSource.SIGINT))
    effects = world.feed(StopAsked(StopSource.SIGINT))
    assert any(isinstance(one, SendKill) for one in effects)


def test_a_stop_is_sent_once() -> None:
    """The wait repeats no order: a second SIGTERM would end the loop before its save."""
    world = stopping()
    for _ in range(10):
        world.now += 1.0
        world.signs(stop=StopAnswer.WAITS)
        world.feed(StopAsked(StopSource.SIGTERM))
    assert sum(isinstance(one, SendStop) for one in world.effects) == 1
    assert sum(isinstance(one, Record) for one in world.effects if _is_awaited(one)) == 1


def _is_awaited(effect: Effect) -> bool:
    return isinstance(effect, Record) and effect.entry.kind == "own_save_awaited"
