"""What follows an attempt's end: tables of endings and decisions."""

import pytest

from supervisor.core.effects import Launch, Say, SetAside
from supervisor.core.events import Begun, IntentChanged, StartFailed, StopAsked, Tick
from supervisor.core.policy import Policy
from supervisor.core.states import Checkpoint
from supervisor.core.vocabulary import Intent, RunState, StopSource
from supervisor.core.wording import is_operators_hold
from tests.core.world import World, checkpoint


def running(**more: object) -> World:
    """A world with its first attempt running."""
    world = World(**more)  # type: ignore[arg-type]
    world.begin()
    assert world.state.run is RunState.RUNNING
    return world


@pytest.mark.parametrize(
    ("ending", "state", "code"),
    [
        ({"code": 0, "failure": "completed"}, RunState.COMPLETED, 0),
        ({"code": 78, "failure": "configuration"}, RunState.HELD, 1),
        ({"code": 1, "outcome_code": 78, "failure": "configuration"}, RunState.HELD, 1),
        ({"code": 1, "outcome_code": 0, "failure": "completed"}, RunState.COMPLETED, 0),
        ({"code": 2, "failure": "configuration"}, RunState.HELD, 1),
        ({"code": 1, "failure": "cuda_device_assert", "action": "hold"}, RunState.HELD, 1),
        ({"code": 1, "failure": "gpu_ecc", "action": "exclude"}, RunState.HELD, 1),
        ({"code": 1, "failure": "disk_full", "action": "hold"}, RunState.WAITING, None),
        ({"code": 1, "failure": "exception"}, RunState.BACKOFF, None),
        ({"code": None, "signal": 9, "failure": "killed"}, RunState.BACKOFF, None),
        ({"code": 75, "failure": "preempted"}, RunState.LAUNCHING, None),
    ],
)
def test_first_ending(ending: dict[str, object], state: RunState, code: int | None) -> None:
    """An ending before any progress leads to the state that the contract names."""
    world = running()
    world.end(**ending)
    assert world.state.run is state
    assert world.exit_codes() == ([] if code is None else [code])


def test_configuration_error_after_steps_is_a_failure_like_others() -> None:
    """An ImportError in the middle of training is no reason to hold at once."""
    world = running()
    world.end(failure="configuration", first_step_seen=True, step=7)
    assert world.state.run is RunState.BACKOFF


def test_progress_restarts_at_once() -> None:
    """A validated step above all before relaunches without a pause, and refills the budget."""
    world = running()
    world.end()
    assert world.state.budget.failures == 1
    world.now += 400
    world.launched([*world.feed(Tick()), *world.survey()])
    world.checkpoints = (checkpoint(100),)
    effects = world.end(step=120)
    launch = next(e for e in effects if isinstance(e, Launch))
    assert launch.checkpoint == checkpoint(100)
    assert world.state.budget.failures == 1
    assert world.records("progress") == [{"type": "progress", "step": 100, "written": None}]


def test_without_new_progress_it_backs_off() -> None:
    """The same old checkpoint is no progress."""
    world = running(checkpoints=(checkpoint(100),))
    world.launched(world.end())
    assert world.state.run is RunState.BACKOFF


def test_budget_holds_and_counts_failures_since_progress() -> None:
    """The n-th failure without a newer checkpoint holds the run, with exit 1."""
    world = running(policy=Policy(max_failures=3))
    for _ in range(2):
        world.end()
        assert world.state.run is RunState.BACKOFF
        world.now += 400
        world.feed(Tick())
        world.launched(world.survey())
    world.end()
    assert world.state.run is RunState.HELD
    assert world.exit_codes() == [1]
    assert "3 failures" in world.state.reason


def test_day_limit_holds_in_spite_of_progress() -> None:
    """Progress refills the budget, but not that of the day."""
    world = running(policy=Policy(max_per_day=4))
    for number in range(1, 4):
        world.checkpoints = (checkpoint(100 * number), *world.checkpoints)
        world.launched(world.end())
        assert world.state.run is RunState.RUNNING
    world.checkpoints = (checkpoint(900), *world.checkpoints)
    world.end()
    assert world.state.run is RunState.HELD
    assert "within a day" in world.state.reason


def test_same_death_twice_goes_one_back_three_times_holds() -> None:
    """With exception, frame and step equal, the run rolls back once and is then held."""
    world = running(checkpoints=(checkpoint(100),))
    world.checkpoints = (checkpoint(200), checkpoint(100))
    death = {"exception": "ValueError", "frame": "data.py:next", "step": 230}
    world.launched(world.end(**death))
    assert world.state.checkpoint == checkpoint(200)
    world.end(**death)
    assert (world.state.run, world.state.action) == (RunState.BACKOFF, "rollback")
    world.now += 400
    world.feed(Tick())
    effects = world.survey()
    launch = next(e for e in effects if isinstance(e, Launch))
    assert launch.checkpoint == checkpoint(100)
    aside = next(e for e in effects if isinstance(e, SetAside))
    assert aside.later == ("/run/checkpoint-200",)
    world.checkpoints = (checkpoint(100),)
    world.launched(effects)
    world.end(**death)
    assert world.state.run is RunState.HELD
    assert "3 times" in world.state.reason


def test_rollback_with_nothing_further_back_takes_the_newest() -> None:
    """With only one checkpoint, starting from nothing would lose it."""
    world = running()
    world.checkpoints = (checkpoint(100),)
    death = {"exception": "ValueError", "frame": "f", "step": 130}
    world.launched(world.end(**death))
    world.end(**death)
    world.now += 400
    world.feed(Tick())
    launch = next(e for e in world.survey() if isinstance(e, Launch))
    assert launch.checkpoint == checkpoint(100)


@pytest.mark.parametrize("fresh", [True, False])
def test_none_valid(fresh: bool) -> None:
    """Checkpoints of which none is valid hold the run, unless `if_none_valid` is fresh."""
    world = running(policy=Policy(start_fresh_if_none_valid=fresh))
    world.exists = True
    world.end()
    world.now += 400
    if world.state.run is RunState.BACKOFF:
        world.feed(Tick())
        effects = world.survey()
        launches = [e for e in effects if isinstance(e, Launch)]
        assert bool(launches) is fresh
        assert world.state.run is (RunState.LAUNCHING if fresh else RunState.HELD)


def test_never_from_nothing_over_checkpoints() -> None:
    """A trainer without arguments and without attach() would begin anew: the run is held."""
    world = running()
    world.checkpoints = (checkpoint(100),)
    world.end(attached=False)
    assert world.state.run is RunState.HELD
    assert "resume:" in world.state.reason


def test_final_checkpoint_means_finished() -> None:
    """A run that finished during its grace is found finished at the next start."""
    world = World(checkpoints=(checkpoint(500, kind="final"),))
    world.begin()
    assert world.state.run is RunState.COMPLETED
    assert world.exit_codes() == [0]
    assert "Launch" not in world.kinds()


@pytest.mark.parametrize(("step", "state"), [(500, RunState.COMPLETED), (499, RunState.BACKOFF)])
def test_finish_step(step: int, state: RunState) -> None:
    """With `finish: {step: N}`, exit 0 alone means nothing."""
    policy = Policy(has_finish_condition=True, finish_step=500)
    world = running(policy=policy)
    world.end(code=0, failure="completed", step=step)
    assert world.state.run is state


@pytest.mark.parametrize("code", [None, 1])
def test_finish_step_that_was_not_saved_is_no_end(code: int | None) -> None:
    """Killed at the last step before its checkpoint, the run has to make the step again."""
    policy = Policy(has_finish_condition=True, finish_step=500)
    world = running(policy=policy, checkpoints=(checkpoint(400),))
    world.end(code=code, signal=None if code else 9, failure="killed", step=500)
    assert world.state.run is RunState.BACKOFF
    world.now += 400
    world.launched([*world.feed(Tick()), *world.survey()])
    world.checkpoints = (checkpoint(500), *world.checkpoints)
    world.end(code=code, signal=None if code else 9, failure="killed", step=500)
    assert world.state.run is RunState.COMPLETED


def test_a_trainer_that_said_it_finished_may_crash_at_exit() -> None:
    """The outcome 0 outranks a segmentation fault at the interpreter's end."""
    world = running()
    world.end(code=None, signal=11, outcome_code=0, failure="segfault")
    assert world.state.run is RunState.COMPLETED


def test_hold_wish_during_a_start_that_failed() -> None:
    """A hold prevents the retry of a failed start, as it prevents any launch."""
    world = World()
    world.feed(Begun(Intent.RUN))
    world.survey()
    world.feed(IntentChanged(Intent.HOLD))
    world.feed(StartFailed(1, "no memory", transient=True))
    world.now += 400
    world.feed(Tick())
    world.survey()
    assert world.state.run is RunState.HELD
    assert world.kinds().count("Launch") == 1


def test_hold_wish_lets_the_attempt_run_and_prevents_the_next() -> None:
    """`supervisor hold` leaves a running attempt alone and prevents the next one."""
    world = running()
    world.feed(IntentChanged(Intent.HOLD))
    assert world.state.run is RunState.RUNNING
    effects = world.end()
    assert world.state.run is RunState.HELD
    (line,) = [one.line for one in effects if isinstance(one, Say) and "held" in one.line]
    assert "to go on: `supervisor resume`" in line
    assert "mended" not in line
    assert "Launch" in world.kinds()
    assert world.kinds().count("Launch") == 1


def held_by_the_operator(how: str) -> World:
    """A run held with `supervisor hold`, at each moment at which this is possible."""
    world = World()
    match how:
        case "begin":
            world.feed(Begun(Intent.HOLD))
        case "backoff":
            world = running()
            world.end()
            world.feed(IntentChanged(Intent.HOLD))
        case "attempt ended":
            world = running()
            world.feed(IntentChanged(Intent.HOLD))
            world.end()
        case "before the launch":
            world.feed(Begun(Intent.RUN))
            world.feed(IntentChanged(Intent.HOLD))
            world.survey()
    return world


@pytest.mark.parametrize("how", ["begin", "backoff", "attempt ended", "before the launch"])
def test_an_operators_hold_is_known_by_its_reason(how: str) -> None:
    """`status` then says how to go on, and that nothing has to be looked at."""
    world = held_by_the_operator(how)
    assert world.state.run is RunState.HELD
    assert is_operators_hold(world.state.reason)


def test_another_hold_is_none_of_the_operators() -> None:
    """A wrong configuration is the reason of the hold, even if the operator asked for one."""
    world = running()
    world.feed(IntentChanged(Intent.HOLD))
    world.end(code=78)
    assert world.state.run is RunState.HELD
    assert not is_operators_hold(world.state.reason)
    assert not is_operators_hold(None)


def unnumbered(written: float) -> Checkpoint:
    """The file `ckpt.pt`, which is rewritten in place."""
    return Checkpoint("/run/ckpt.pt", None, written=written)


def test_a_rewritten_checkpoint_without_a_step_is_progress_if_training_was_ahead() -> None:
    """nanoGPT's ckpt.pt is progress when newer and at a further step, not when only newer."""
    world = running(policy=Policy(max_failures=2))
    for number in range(1, 5):
        world.checkpoints = (unnumbered(100.0 * number),)
        world.launched(world.end(step=100 * number))
        assert world.state.run is RunState.RUNNING, "progress restarts at once"
    world.checkpoints = (unnumbered(900.0),)
    world.end(step=250)
    assert world.state.run is RunState.HELD, "the second failure that replayed old steps"


@pytest.mark.parametrize(("rewritten", "said"), [(True, "saved to ckpt.pt"), (False, "are lost")])
def test_a_stop_with_a_checkpoint_that_tells_no_step(rewritten: bool, said: str) -> None:
    """The reason names no step: only whether the file was written since the stop."""
    world = World(checkpoints=(unnumbered(100.0),))
    world.begin()
    world.feed(StopAsked(StopSource.SIGTERM))
    if rewritten:
        world.checkpoints = (unnumbered(200.0),)
    world.end(code=75, step=420)
    assert world.state.run is RunState.PREEMPTED
    assert said in world.state.reason
    assert "420 steps" not in world.state.reason
    assert world.records("attempt_ended")[0]["saved"] is rewritten
