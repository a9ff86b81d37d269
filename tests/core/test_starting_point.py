"""What a hold says of the tool that wrote the checkpoints."""

from dataclasses import replace

from supervisor.core.events import Surveyed
from supervisor.core.rules.decision import Verdict
from supervisor.core.rules.starting_point import launch
from supervisor.core.states import Budget
from supervisor.core.vocabulary import Action
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
