"""A run is finished with exit 0 and no evidence against it; other evidence outranks the exit."""

from dataclasses import replace

import pytest

from supervisor.core.ending import Doubt, LastWords, OwnRecord
from supervisor.core.events import StopAsked, Tick
from supervisor.core.policy import Policy
from supervisor.core.rules.completion import RECORD, TRACEBACK
from supervisor.core.rules.resumption import initial_state
from supervisor.core.vocabulary import RunState, StopSource
from tests.core.world import World, checkpoint, history_of

WORDS = "its last words are an unhandled traceback: RuntimeError: bad batch"
TRACE = LastWords(WORDS, is_certain=True)
PERHAPS = LastWords(WORDS, is_certain=False)
DIED = {
    "failure": "exception",
    "action": "restart",
    "reason": "exception in t.py:<module>: RuntimeError: bad batch",
    "exception": "RuntimeError",
    "frame": "t.py:<module>",
}


def record(step: int, total: int = 40, **more: object) -> OwnRecord:
    """The trainer's own record of its steps."""
    facts: dict[str, object] = {"is_end": True, **more}
    return OwnRecord("trainer_state.json", step, total, **facts)  # type: ignore[arg-type]


def running(**policy: object) -> World:
    """A world whose first attempt runs from step 10 on."""
    resuming = Policy(has_resume_args=True, **policy)  # type: ignore[arg-type]
    world = World(policy=resuming, checkpoints=(checkpoint(10),))
    world.begin()
    return world


def saved(world: World, step: int) -> None:
    """The attempt saves one more checkpoint."""
    world.checkpoints = (checkpoint(step), *world.checkpoints)


def exited(world: World, **more: object) -> None:
    """The attempt exits with 0."""
    facts: dict[str, object] = {"code": 0, "attached": False, "failure": "completed"}
    world.launched(world.end(**{**facts, **more}))


def test_an_exit_with_0_after_an_unhandled_traceback_is_a_failure() -> None:
    """A traceback as last words outweighs exit 0: the run goes on from its checkpoint."""
    world = running()
    saved(world, 20)
    exited(world, step=25, last_words=TRACE, **DIED)
    assert world.state.run is RunState.RUNNING
    assert world.state.attempt == 2
    (end,) = world.records("attempt_ended")
    assert (end["failure"], end["action"], end["charged"]) == ("exception", "restart", True)
    assert end["doubt"] == {"kind": TRACEBACK, "words": WORDS, "step": 25}
    exited(world, step=40)
    assert world.state.run is RunState.COMPLETED
    assert world.state.reason == "attempt 2 finished at step 40"


@pytest.mark.parametrize(
    ("more", "policy", "run"),
    [
        ({"outcome_code": 0}, {}, RunState.COMPLETED),
        ({"record": record(40)}, {}, RunState.COMPLETED),
        ({"record": record(40, is_end=False)}, {}, RunState.COMPLETED),
        ({}, {"finish_step": 25, "has_finish_condition": True}, RunState.COMPLETED),
        ({"finish_met": True}, {"has_finish_condition": True}, RunState.COMPLETED),
        ({"finish_met": False}, {"has_finish_condition": True}, RunState.LAUNCHING),
        ({"record": record(25)}, {}, RunState.LAUNCHING),
        ({"record": record(25, is_end=False)}, {}, RunState.LAUNCHING),
    ],
)
def test_evidence_of_completion_outranks_a_traceback(
    more: dict[str, object], policy: dict[str, object], run: RunState
) -> None:
    """The outcome 0, all steps in its record, or a met finish condition outranks a traceback."""
    world = running(**policy)
    saved(world, 20)
    world.end(code=0, step=25, last_words=TRACE, **{**DIED, **more})
    assert world.state.run is run
    if run is not RunState.COMPLETED:
        assert "RuntimeError: bad batch" in world.records("attempt_ended")[0]["reason"]  # type: ignore[operator]
    elif not policy:
        assert f"; {WORDS}, but" in world.state.reason


@pytest.mark.parametrize(("newest", "run"), [(20, RunState.RUNNING), (25, RunState.COMPLETED)])
def test_what_may_have_been_survived_counts_where_steps_were_lost(
    newest: int, run: RunState
) -> None:
    """A few lines follow the traceback: the exit is a failure only if the last step is unsaved."""
    world = running()
    saved(world, newest)
    exited(world, step=None, logged=(1, 25), last_words=PERHAPS, **DIED)
    assert world.state.run is run


def test_what_may_have_been_survived_is_nothing_where_nothing_is_ever_saved() -> None:
    """A run that never saves is finished: on a guess it would begin again from nothing."""
    world = World()
    world.begin()
    exited(world, step=25, last_words=PERHAPS, **DIED)
    assert world.state.run is RunState.COMPLETED


def test_its_own_record_of_fewer_steps_is_against_it() -> None:
    """HF's record says step 20 of 40 after a SIGTERM that we did not send: not finished."""
    world = running()
    saved(world, 20)
    exited(world, step=None, record=record(20))
    assert world.state.attempt == 2
    assert world.records("attempt_ended")[0]["doubt"] == {
        "kind": RECORD,
        "words": "its own record (trainer_state.json) says step 20 of 40",
        "step": 20,
    }
    assert world.records("attempt_ended")[0]["failure"] == "unknown"


@pytest.mark.parametrize(
    "more",
    [
        # A routine save before the last step says nothing about the end.
        {"is_end": False},
        {"is_early_stop": True},
        # This record is from the attempt before, in the output directory.
        {"step": 15},
    ],
)
def test_a_record_that_is_not_of_a_cut_training_is_not_against_it(more: dict[str, object]) -> None:
    """An older HF saves no last step, and EarlyStoppingCallback ends training before it."""
    world = running()
    saved(world, 20)
    exited(world, record=record(**{"step": 20, **more}))  # type: ignore[arg-type]
    assert world.state.run is RunState.COMPLETED


@pytest.mark.parametrize("at_evaluation", [True, False])
def test_a_training_that_stops_itself_again_at_an_evaluation_is_finished(
    at_evaluation: bool,
) -> None:
    """Two stops of its own at evaluations finish a run; repeated stops from outside do not."""
    world = running()
    for step in (20, 24):
        saved(world, step)
        exited(world, record=record(step, is_at_evaluation=at_evaluation))
    assert world.state.run is (RunState.COMPLETED if at_evaluation else RunState.RUNNING)
    if at_evaluation:
        assert (
            "twice in a row the trainer stopped itself there, at an evaluation"
            in world.state.reason
        )


def test_a_relaunch_that_makes_no_step_and_exits_with_0_again_is_finished_and_told() -> None:
    """Training was done, and only later code fails each time: finished, and the reason says so."""
    world = running()
    saved(world, 40)
    exited(world, step=40, last_words=TRACE, **DIED)
    assert world.state.attempt == 2
    exited(world, step=None, last_words=TRACE, **DIED)
    assert world.state.run is RunState.COMPLETED
    assert "this attempt made no step and exited with 0 again" in world.state.reason
    assert WORDS in world.state.reason


def test_the_same_holds_over_daemons_and_supervisors() -> None:
    """The doubt is in the ledger for the next daemon, and an old ledger without it replays."""
    first = running()
    saved(first, 40)
    exited(first, step=40, last_words=TRACE, **DIED)
    (entry,) = first.records("attempt_ended")
    history = history_of([{**entry, "wall": 1.0}])
    assert history.doubt == Doubt(TRACEBACK, WORDS, 40)
    assert initial_state(history, Policy(), now=0.0, wall=2.0).doubt == history.doubt
    old = {key: value for key, value in entry.items() if key != "doubt"}
    assert history_of([{**old, "wall": 1.0}]).doubt is None


def test_a_relaunch_that_dies_before_it_is_as_far_again_is_not_finished() -> None:
    """The relaunch had to make steps 21 to 25 again and did not reach them: not finished."""
    world = running()
    saved(world, 20)
    exited(world, step=25, last_words=TRACE, **DIED)
    exited(world, step=None, last_words=TRACE, **DIED)
    assert world.state.run is not RunState.COMPLETED


def test_an_attempt_that_never_began_is_not_finished_the_second_time() -> None:
    """An attempt that dies at its start with 0 each time is held by the budget, not finished."""
    world = World(policy=Policy(max_failures=3))
    world.begin()
    for _ in range(5):
        if world.state.run is RunState.BACKOFF:
            world.now += 400.0
            world.feed(Tick())
            world.launched(world.survey())
        if world.state.run is RunState.RUNNING:
            exited(world, step=None, last_words=TRACE, **DIED)
    assert world.state.run is RunState.HELD


def test_after_a_stop_a_doubted_exit_is_no_failure() -> None:
    """After a stop, last words decide nothing and nothing is charged."""
    world = running()
    world.feed(StopAsked(StopSource.SIGTERM))
    world.end(code=0, step=25, last_words=TRACE, **DIED)
    assert world.state.run is RunState.PREEMPTED
    assert world.records("attempt_ended")[0]["charged"] is False


def test_a_wrong_configuration_behind_a_pipe_is_held() -> None:
    """With `python t.py | tee log` and a failing import, a relaunch changes nothing: held."""
    world = World()
    world.begin()
    wrong = {**DIED, "failure": "configuration", "action": "hold", "reason": "no module"}
    exited(world, step=None, last_words=TRACE, **wrong)
    assert world.state.run is RunState.HELD


ASSERT = {**DIED, "failure": "cuda_device_assert", "action": "exclude", "reason": "assert"}


@pytest.mark.parametrize("action", ["exclude", "hold"])
def test_a_printed_traceback_holds_nothing_once_steps_were_made(action: str) -> None:
    """The traceback may be a printed sample: the relaunch makes no step, so the run is finished."""
    world = running()
    saved(world, 40)
    exited(world, step=40, last_words=TRACE, **{**ASSERT, "action": action})
    assert world.state.run is RunState.RUNNING
    assert world.records("attempt_ended")[0]["action"] == "restart"
    exited(world, step=None, last_words=TRACE, **{**ASSERT, "action": action})
    assert world.state.run is RunState.COMPLETED


def test_a_python_whose_last_sample_is_a_traceback_is_finished() -> None:
    """The exit code is Python's own, so the sample is no certain failure: all steps are saved."""
    world = running()
    saved(world, 40)
    exited(world, step=40, last_words=PERHAPS, **ASSERT)
    assert world.state.run is RunState.COMPLETED


def test_a_start_that_fails_twice_is_no_end() -> None:
    """A wrong call halfway through a run, twice, is no end of the training."""
    wrong = {**DIED, "failure": "configuration", "action": "hold", "reason": "usage"}
    first = running()
    exited(first, step=None, last_words=TRACE, **wrong)
    assert first.state.run is RunState.BACKOFF
    (entry,) = first.records("attempt_ended")
    again = running()
    again.state = replace(again.state, doubt=history_of([{**entry, "wall": 1.0}]).doubt)
    assert again.state.doubt is not None
    exited(again, step=None, last_words=TRACE, **wrong)
    assert again.state.run is RunState.BACKOFF


def test_a_training_whose_steps_only_its_checkpoints_show_is_finished_the_second_time() -> None:
    """Checkpoints show that the doubted attempt had trained, and how far."""
    world = running()
    saved(world, 40)
    exited(world, step=None, last_words=TRACE, **DIED)
    assert world.records("attempt_ended")[0]["doubt"]["step"] == 40  # type: ignore[index]
    exited(world, step=None, last_words=TRACE, **DIED)
    assert world.state.run is RunState.COMPLETED


def test_a_checkpoint_of_the_attempt_shows_that_it_trained() -> None:
    """The steps are unseen and a script's later command failed: the checkpoint prevents a hold."""
    world = World(policy=Policy(has_resume_args=True))
    world.begin()
    world.checkpoints = (checkpoint(20),)
    wrong = {**DIED, "failure": "configuration", "action": "hold", "reason": "usage"}
    exited(world, step=None, first_step_seen=False, last_words=TRACE, **wrong)
    assert world.state.run is not RunState.HELD
    assert world.records("attempt_ended")[0]["failure"] == "exception"


@pytest.mark.parametrize(("newest", "run"), [(20, RunState.RUNNING), (25, RunState.COMPLETED)])
def test_an_end_that_nobody_saw_counts_by_what_was_saved(newest: int, run: RunState) -> None:
    """If nobody saw the end, the run is finished only if no step is unsaved."""
    world = running()
    saved(world, newest)
    exited(world, step=25, end_unseen=True)
    assert world.state.run is run
    if run is RunState.RUNNING:
        assert "how they ended is not known" in world.state.reason


VANISHED = {"vanished": "rank 0 (pid 7)", "attached": True}


def test_ranks_that_vanished_behind_a_shell_have_not_finished() -> None:
    """Ranks killed at the step that was saved last lost no step, but have not finished."""
    world = running()
    saved(world, 20)
    exited(world, step=20, **VANISHED)
    assert (world.state.run, world.state.attempt) == (RunState.RUNNING, 2)
    (end,) = world.records("attempt_ended")
    assert end["doubt"]["kind"] == "vanished"  # type: ignore[index]
    assert "rank 0 (pid 7) ended without a word, as if killed" in world.state.reason


@pytest.mark.parametrize("word", [{"outcome_code": 0}, {"record": record(40)}])
def test_what_vanished_after_its_word_has_finished(word: dict[str, object]) -> None:
    """The trainer's own word outranks how its process ended."""
    world = running()
    exited(world, step=40, **{**VANISHED, **word})
    assert world.state.run is RunState.COMPLETED


def test_a_training_that_leaves_in_a_hurry_is_started_once_more_at_most() -> None:
    """`os._exit(0)` looks like a kill: the relaunch makes no step, and the reason says so."""
    world = running()
    saved(world, 40)
    exited(world, step=40, **VANISHED)
    exited(world, step=40, **VANISHED)
    assert world.state.run is RunState.COMPLETED
    assert "this attempt made no step and exited with 0 again" in world.state.reason
