"""What a hold says of the tool that wrote the checkpoints."""

from dataclasses import replace

from supervisor.core.events import Surveyed
from supervisor.core.rules.decision import Decision, Verdict
from supervisor.core.rules.starting_point import held_anyway, launch
from supervisor.core.states import Budget
from supervisor.core.vocabulary import Action, Failure
from tests.core.world import World, checkpoint

HOW = "Tool: `resume: {args: [--go-on]}`"


def decide(survey: Surveyed) -> tuple[Verdict, str]:
    """The verdict and its reason after a first attempt that was told nothing."""
    state = replace(World().state, attempt=1)
    decision = launch(state, survey, Budget(), None, Action.RESTART, "")
    return decision.verdict, decision.reason


def test_a_hold_says_how_the_tool_resumes() -> None:
    """If the tool that wrote the checkpoints is known, its own line stands for the general one."""
    survey = Surveyed(candidates=(checkpoint(100),), exists=True)
    verdict, reason = decide(survey)
    assert verdict is Verdict.HOLD
    assert reason.endswith("if it finds them itself")
    general = 'write `resume: {args: [--resume, "{checkpoint}"]}`,'
    assert general in reason
    told = decide(replace(survey, how_to_resume=HOW))
    assert told == (Verdict.HOLD, reason.replace(general, f"for {HOW};"))


def test_an_ended_trainings_checkpoint_holds_the_run() -> None:
    """A checkpoint whose optimizer was taken out is no start, and is not trained over."""
    verdict, reason = decide(Surveyed(exists=True, ended="last.pt: its training has ended"))
    assert verdict is Verdict.HOLD
    assert reason.startswith("last.pt: its training has ended. If the run is not done, begin again")


WAIT = Decision(Verdict.BACKOFF, Failure.KILLED, Action.BACKOFF, "killed", Budget(), wait_s=7.0)


def test_a_wait_that_would_only_delay_a_hold_is_left_out() -> None:
    """The hold says what the attempt died of as well, and keeps what it cost."""
    state = replace(World().state, attempt=1)
    survey = Surveyed(candidates=(checkpoint(100),), exists=True)
    spent = replace(WAIT, budget=replace(Budget(), failures=3))
    held = held_anyway(state, survey, spent)
    assert (held.verdict, held.failure) == (Verdict.HOLD, Failure.CONFIGURATION)
    assert held.reason.startswith("killed; the trainer is not told to resume, and would start")
    assert held.budget.failures == 3
    unseen = Surveyed(exists=False, unseen="it saves into out/")
    held = held_anyway(replace(state, ever_attached=True), unseen, WAIT)
    assert (held.verdict, held.failure) == (Verdict.HOLD, Failure.CHECKPOINTS_UNSEEN)


def test_a_wait_after_which_things_may_be_otherwise_stays() -> None:
    """Checkpoints may be put back, another run may leave the directory, or nothing is wrong."""
    state = replace(World().state, attempt=1)
    fine = Surveyed(candidates=(checkpoint(100),), exists=True)
    for state_then, survey in (
        (replace(state, ever_attached=True), fine),
        (state, Surveyed(exists=True)),
        (state, Surveyed(exists=False, missing="3 checkpoints are gone")),
        (state, replace(fine, taken="another run saves there")),
        (state, replace(fine, undecided=("step-1",))),
    ):
        assert held_anyway(state_then, survey, WAIT) is WAIT


def test_the_file_to_edit_is_named() -> None:
    """Each hold that asks for a key says in which configuration."""
    world = World().state
    policy = replace(world.policy, config_path="runs/a/config.yaml")
    state = replace(world, attempt=1, policy=policy)
    for survey in (
        Surveyed(candidates=(checkpoint(100),), exists=True),
        Surveyed(exists=True),
        Surveyed(candidates=(checkpoint(100),), exists=True, undecided=("step-1",)),
        Surveyed(exists=False, unseen="it saves into out/"),
    ):
        decision = launch(state, survey, Budget(), None, Action.RESTART, "")
        assert decision.verdict is Verdict.HOLD
        assert "in runs/a/config.yaml" in decision.reason
