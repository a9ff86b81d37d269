"""What the user says of exit codes: it replaces the action, and comes after stop and finish."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.effects import Incident, Launch, Say, SetAside
from supervisor.core.ending import Ending
from supervisor.core.events import Begun, Exited, IntentChanged, Started, StopAsked, Surveyed, Tick
from supervisor.core.policy import Policy
from supervisor.core.rules.exit_codes import ExitRule, rule_of
from supervisor.core.rules.resumption import initial_state
from supervisor.core.rules.warm_launch import Launched
from supervisor.core.states import State
from supervisor.core.step import step
from supervisor.core.vocabulary import Action, Failure, Intent, RunState, StopSource
from tests.core.world import World, checkpoint, history_of

LONG_S = 1000.0


def rules(**more: str) -> tuple[tuple[int, ExitRule], ...]:
    """Rules by exit code: `_3="hold"`."""
    return tuple((int(code[1:]), ExitRule(rule)) for code, rule in more.items())


def running(policy: Policy | None = None, **codes: str) -> World:
    """A world under these rules whose second attempt runs, resumed from step 40."""
    world = World(policy=policy or Policy(exit_codes=rules(**codes), has_resume_args=True))
    world.begin()
    world.checkpoints = (checkpoint(40), checkpoint(30))
    world.launched(world.end(failure="unknown", code=5, step=45, first_step_seen=True))
    assert world.state.run is RunState.RUNNING
    return world


def again(world: World) -> None:
    """The pause is over, and the next attempt runs."""
    assert world.state.run is RunState.BACKOFF, world.state.reason
    world.now += LONG_S
    world.launched([*world.feed(Tick()), *world.survey()])
    assert world.state.run is RunState.RUNNING


NAMED = (
    "exception",
    "cuda_device_assert",
    "gpu_ecc",
    "filesystem",
    "checkpoint_corrupt",
    "unknown",
)
SAID = ("restart", "hold", "exclude", "backoff", "rollback")


@pytest.mark.parametrize("failure", NAMED)
@pytest.mark.parametrize("action", SAID)
@pytest.mark.parametrize(
    ("rule", "state", "acts", "charged"),
    [
        ("restart", RunState.BACKOFF, "restart", True),
        ("backoff", RunState.BACKOFF, "backoff", True),
        ("rollback", RunState.BACKOFF, "rollback", True),
        ("hold", RunState.HELD, "hold", True),
        ("free", RunState.BACKOFF, "restart", False),
    ],
)
def test_a_rule_replaces_the_action_and_never_the_name(
    rule: str, state: RunState, acts: str, charged: bool, action: str, failure: str
) -> None:
    """Whatever the diagnosis says, on record its name stands beside the rule's action."""
    world = running(_3=rule)
    effects = world.end(code=3, failure=failure, action=action, reason="it broke")
    assert world.state.run is state
    assert (world.state.failure, world.state.action) == (failure, acts)
    assert "it broke; exit code 3: restart.exit_codes says " + rule in world.state.reason
    end = world.records("attempt_ended")[-1]
    assert (end["failure"], end["action"], end["charged"]) == (failure, acts, charged)
    assert (end["reason"], end["exit_rule"]) == ("it broke", rule)
    done = [one.done for one in effects if isinstance(one, Incident)]
    assert len(done) == (rule != "free")  # their number has no limit
    assert all(what.endswith(f" (restart.exit_codes: {rule})") for what in done)


@pytest.mark.parametrize(
    ("rule", "state"),
    [("restart", RunState.BACKOFF), ("free", RunState.BACKOFF), ("hold", RunState.HELD)],
)
def test_a_configuration_error_is_launched_again_if_a_rule_says_so(
    rule: str, state: RunState
) -> None:
    """Without the rule the run is held at once."""
    world = World(policy=Policy(exit_codes=rules(_2=rule)))
    world.begin()
    world.end(code=2, failure="configuration", action="hold")
    assert (world.state.run, world.state.failure) == (state, "configuration")


def test_without_a_rule_nothing_is_said() -> None:
    """Neither the record nor the reason names the key, for another code or without any rule."""
    world = running(_3="hold", _137="free")
    world.end(code=4, signal=None, reason="it broke")
    assert world.state.reason == "it broke"
    assert not {"exit_rule", "free_restarts"} & world.records("attempt_ended")[-1].keys()


@pytest.mark.parametrize(
    ("ending", "shown"),
    [
        ({"code": 3}, "exit code 3"),
        ({"code": 137}, "exit code 137"),
        ({"code": None, "signal": 9}, "signal 9 (137)"),
        ({"code": 9}, None),  # an exit code is no signal
        ({"code": None, "signal": 3}, None),  # 131, and no 3
        ({"code": 1, "outcome_code": 3}, "exit code 3"),  # torchrun exits with 1
        ({"code": 3, "outcome_code": 1}, "exit code 3"),
        ({"code": 137, "outcome_code": 3}, "exit code 3"),  # the rank's outcome is asked first
        ({"code": 3, "outcome_code": 0}, "exit code 3"),
        ({"code": 3, "outcome_code": 75}, None),
        ({"code": 3, "outcome_code": 78}, None),
        ({"code": 3, "ended_by_us": True}, None),
        ({"code": None, "signal": 9, "ended_by_us": True}, None),
        ({"code": None}, None),
        ({"code": 0}, None),
    ],
)
def test_which_code_is_looked_up(ending: Mapping[str, object], shown: str | None) -> None:
    """The trainer's outcome, then the exit code; of a signal 128 and its number."""
    facts = {"code": None, "signal": None, **ending}
    found = rule_of(rules(_3="hold", _137="free"), Ending(1, **facts))  # type: ignore[arg-type]
    assert (found and found.shown) == shown


@pytest.mark.parametrize("rule", ExitRule)
def test_a_stop_that_was_asked_for_comes_first(rule: ExitRule) -> None:
    """Whatever the code, the run ends as asked."""
    world = running(_143=rule, _3=rule)
    world.feed(StopAsked(StopSource.SIGTERM))
    world.end(code=None, signal=15)
    assert (world.state.run, world.state.failure) == (RunState.PREEMPTED, "preempted")
    assert world.exit_codes() == [75]


@pytest.mark.parametrize("rule", ExitRule)
def test_the_end_of_training_comes_first(rule: ExitRule) -> None:
    """A condition in `finish` that is met, or the outcome of a trainer that finished."""
    met = Policy(exit_codes=rules(_3=rule), finish_step=60, has_finish_condition=True)
    for world, ending in ((running(met), {}), (running(_3=rule), {"outcome_code": 0})):
        world.checkpoints = (checkpoint(60), *world.checkpoints)
        world.end(code=3, **ending)
        assert world.state.run is RunState.COMPLETED


@pytest.mark.parametrize("rule", ExitRule)
def test_the_trainers_own_word_comes_first(rule: ExitRule) -> None:
    """75 is launched again and 78 held, also where a launcher exits with another code."""
    world = running(_1=rule)
    world.launched(world.end(code=1, outcome_code=75, failure="preempted"))
    assert world.state.run is RunState.RUNNING
    world.end(code=1, outcome_code=78, failure="configuration", action="hold")
    assert world.state.run is RunState.HELD


@pytest.mark.parametrize("rule", ExitRule)
def test_the_operators_hold_comes_first(rule: ExitRule) -> None:
    """`supervisor hold`: nothing is launched, whatever the rule; a free end is still free."""
    world = running(_3=rule)
    world.feed(IntentChanged(Intent.HOLD))
    world.end(code=3)
    assert world.state.run is RunState.HELD
    assert "supervisor hold" in world.state.reason
    assert world.records("attempt_ended")[-1]["charged"] is (rule is not ExitRule.FREE)


def test_a_full_disk_is_waited_for_unless_there_is_a_rule() -> None:
    """For its code: a rule for another code changes nothing."""
    full = {"code": 1, "failure": "disk_full", "action": "hold"}
    world = running(_3="hold")
    world.end(**full)
    assert world.state.run is RunState.WAITING
    for rule, state in (("restart", RunState.BACKOFF), ("hold", RunState.HELD)):
        world = running(_1=rule)
        world.end(**full)
        assert (world.state.run, world.state.failure) == (state, "disk_full")
        assert (world.state.budget.failures, world.state.budget.full_deaths) == (2, 0)


def test_restart_is_a_failure_like_others() -> None:
    """It counts at once, also before the first step; the same death goes back, then is held."""
    death = {"code": 3, "exception": "OSError", "frame": "hub.py:get", "action": "backoff"}
    world = running(_3="restart")
    world.end(**death)
    assert (world.state.budget.failures, world.state.budget.outages) == (2, 0)
    again(world)
    world.end(**death)
    assert world.state.action == "rollback"
    again(world)
    world.end(**death)
    assert world.state.run is RunState.HELD
    assert "the same death 3 times" in world.state.reason


def test_restart_comes_at_once_after_progress_and_is_held_when_the_budget_is_spent() -> None:
    """As any failure."""
    world = running(Policy(exit_codes=rules(_3="restart"), max_failures=3, has_resume_args=True))
    world.checkpoints = (checkpoint(50), *world.checkpoints)
    world.launched(world.end(code=3, failure="gpu_lost", action="exclude", step=55))
    world.end(code=3, failure="gpu_lost", action="exclude")
    again(world)
    world.end(code=3, failure="gpu_lost", action="exclude", reason="a GPU is gone")
    assert world.state.run is RunState.HELD
    assert "restart.exit_codes says restart; 3 failures" in world.state.reason


def test_backoff_is_an_outage() -> None:
    """Pauses cost no failure before the longest, and the newest checkpoint stays in use."""
    world = running(_3="backoff")
    for _ in range(4):
        world.end(code=3, exception="ValueError", frame="f", step=45, first_step_seen=True)
        assert world.state.action == "backoff"
        again(world)
        assert world.state.checkpoint == checkpoint(40)
    assert (world.state.budget.failures, world.state.budget.outages) == (1, 4)


def test_rollback_goes_one_checkpoint_back() -> None:
    """What lies later is set aside, at the first such end already."""
    world = running(_3="rollback")
    world.end(code=3, action="restart")
    again(world)
    assert world.state.checkpoint == checkpoint(30)
    (aside,) = [effect for effect in world.effects if isinstance(effect, SetAside)]
    assert aside.later == ("/run/checkpoint-40",)


def test_free_costs_nothing_for_ever_and_its_pause_grows() -> None:
    """The same death a hundred times charges no budget, and no wait is over the longest."""
    policy = Policy(exit_codes=rules(_42="free"), max_failures=2, max_per_day=3)
    world = running(policy)
    before = world.state.budget
    death = {"code": 42, "exception": "ValueError", "frame": "f", "step": 45}
    waits = []
    for number in range(1, 101):
        world.end(**death, first_step_seen=True)
        assert world.state.wake_at is not None
        waits.append(world.state.wake_at - world.now)
        budget = world.state.budget
        assert budget.free_restarts == number
        assert (budget.failures, budget.recent, budget.repeats) == (1, before.recent, 0)
        again(world)
        assert world.state.checkpoint == checkpoint(40)
    bounds = [10, 20, 40, 80, 160, *[300] * 95]
    assert all(0.75 * most <= wait <= most for wait, most in zip(waits, bounds, strict=True))
    assert world.state.budget.died_in_training == before.died_in_training
    world.end(code=1, exception="ValueError", frame="f", step=45, first_step_seen=True)
    assert world.state.run is RunState.HELD  # the second failure that is charged
    assert "2 failures" in world.state.reason


def test_free_comes_at_once_after_progress_and_leaves_that_to_the_next_failure() -> None:
    """One relaunch at once: the next without progress waits. A failure is at once all the same."""
    world = running(_42="free")
    world.checkpoints = (checkpoint(50), *world.checkpoints)
    effects = world.launched(world.end(code=42, step=55, reason="told to move"))
    assert [effect for effect in effects if isinstance(effect, Launch)]
    said = [effect.line for effect in effects if isinstance(effect, Say)]
    assert said == [
        "attempt 2: told to move; exit code 42: restart.exit_codes says free,"
        " so no budget is charged; relaunching at once"
    ]
    world.end(code=42, step=55)
    again(world)
    world.launched(world.end(code=1, step=55))
    assert world.state.run is RunState.RUNNING
    assert (world.state.budget.failures, world.state.budget.free_restarts) == (1, 2)


def test_progress_and_resume_begin_the_pause_anew() -> None:
    """A free end after three hours of work is not the eleventh in a row."""
    world = running(_42="free")
    for _ in range(10):
        world.end(code=42)
        again(world)
    world.checkpoints = (checkpoint(50), *world.checkpoints)
    world.launched(world.end(code=42, step=55))
    assert world.state.budget.free_restarts == 1
    world.end(code=42)
    assert world.state.wake_at is not None
    assert world.state.wake_at - world.now <= 20.0


def test_another_daemon_goes_on_counting() -> None:
    """From the ledger: the pause stays as long, and nothing is charged there either."""
    world = running(_42="free")
    for _ in range(3):
        world.end(code=42)
        again(world)
    world.end(code=1, exception="ValueError", frame="f", step=46, first_step_seen=True)
    again(world)
    world.end(code=42)
    kinds = ("progress", "attempt_ended")
    told = [{"wall": 1.0, **entry} for kind in kinds for entry in world.records(kind)]
    state = initial_state(history_of(told), world.policy, now=world.now, wall=1.0)
    mine, its = world.state.budget, state.budget
    assert its.free_restarts == mine.free_restarts == 4
    assert (its.failures, its.repeats, its.signature) == (2, 1, mine.signature)
    assert len(its.recent) == len(mine.recent) == 2
    assert its.died_in_training == mine.died_in_training
    more = [*told, {"wall": 2.0, "type": "progress", "step": 90, "written": None}]
    assert history_of(more).budget.free_restarts == 0
    more = [*told, {"wall": 2.0, "type": "resumed", "intent_id": "x"}]
    assert history_of(more).budget.free_restarts == 0


def test_another_daemon_knows_of_progress_that_only_the_log_tells() -> None:
    """The trainer's checkpoints are not seen: a free end that came further refills the budget."""
    policy = Policy(exit_codes=rules(_42="free"), trainer_finds_checkpoints=True)
    world = World(policy=policy)
    world.begin()
    for code, last in ((1, 10), (1, 10), (42, 20)):
        effects = world.end(code=code, step=last, first_step_seen=True, attached=False)
        if world.state.run is RunState.BACKOFF:
            again(world)
        world.launched(effects)
    told = [{"wall": 1.0, **entry} for entry in world.records("attempt_ended")]
    its = history_of(told).budget
    assert its.failures == world.state.budget.failures == 0
    assert its.free_restarts == world.state.budget.free_restarts == 1


def test_rules_that_change_are_obeyed_by_the_next_daemon() -> None:
    """Nothing of a rule is kept but what was decided by it."""
    world = running(_42="free")
    world.end(code=42)
    told = [{"wall": 1.0, **entry} for entry in world.records("attempt_ended")]
    state = initial_state(history_of(told), Policy(exit_codes=rules(_42="hold")), now=0.0, wall=1.0)
    assert state.policy.exit_codes == rules(_42="hold")
    assert (state.budget.free_restarts, state.action) == (1, "restart")


@pytest.mark.parametrize(
    ("rule", "state", "acts"),
    [("hold", RunState.HELD, "hold"), ("free", RunState.LAUNCHING, "restart_cold")],
)
def test_a_warm_start_that_fails_is_tried_cold_unless_it_is_to_be_held(
    rule: str, state: RunState, acts: str
) -> None:
    """Both launch again, and only a cold attempt shows whether warmth is to blame."""
    world = running(_3=rule)
    world.state = State(**{
        **{name: getattr(world.state, name) for name in State.__dataclass_fields__},
        "launched": Launched(is_warm=True),
    })  # fmt: skip
    world.end(code=3, first_step_seen=False)
    assert (world.state.run, world.state.action) == (state, acts)


def test_a_hang_is_no_exit_of_the_command() -> None:
    """The daemon kills it: the rule for SIGKILL speaks of other kills."""
    world = running(_137="hold")
    world.feed(Exited(Ending(2, None, 9, failure=Failure.HANG, ended_by_us=True)))
    world.survey()
    assert (world.state.run, world.state.failure) == (RunState.BACKOFF, "hang")


endings = st.builds(
    dict,
    code=st.sampled_from([1, 2, 42, 137, 143]),
    failure=st.sampled_from(Failure),
    action=st.sampled_from(Action),
    exception=st.sampled_from([None, "ValueError", "NameError"]),
    step=st.none() | st.integers(0, 99),
    first_step_seen=st.booleans(),
    attached=st.booleans(),
)


@given(st.lists(endings, min_size=1, max_size=30), st.integers(1, 3))
@settings(max_examples=200, deadline=None)
def test_free_ends_are_never_held_and_never_charged(
    story: list[dict[str, object]], most: int
) -> None:
    """Whatever the diagnosis says, however often, and however small the budgets are."""
    everything = tuple((code, ExitRule.FREE) for code in (1, 2, 42, 137, 143))
    policy = Policy(
        exit_codes=everything, max_failures=most, max_per_day=most, has_resume_args=True
    )
    world = World(policy=policy, checkpoints=(checkpoint(40), checkpoint(30)))
    world.begin()
    for ending in story:
        world.end(**ending)
        budget = world.state.budget
        assert (budget.failures, budget.recent, budget.repeats, budget.outages) == (0, (), 0, 0)
        again(world)
        assert world.state.checkpoint == checkpoint(40)
    assert world.state.budget.free_restarts == len(story)


@given(st.integers(1, 5), st.lists(st.sampled_from([1, 42]), max_size=40))
def test_free_ends_between_failures_change_nothing(most: int, codes: list[int]) -> None:
    """The run is held at exactly the n-th failure that is charged."""
    now, failures = 0.0, 0
    policy = Policy(exit_codes=((42, ExitRule.FREE),), max_failures=most, max_per_day=1000)
    state, _ = step(State(policy=policy, at=now), Begun(Intent.RUN), now)
    for code in codes:
        if state.run is RunState.BACKOFF:
            assert state.wake_at is not None
            now = state.wake_at
            state, _ = step(state, Tick(), now)
        state, _ = step(state, Surveyed(), now)
        state, _ = step(state, Started(state.attempt), now)
        state, _ = step(state, Exited(Ending(state.attempt, code, None)), now)
        state, _ = step(state, Surveyed(), now)
        failures += code == 1
        assert state.budget.failures == failures
        assert (state.run is RunState.HELD) == (failures >= most)
        if failures >= most:
            break
