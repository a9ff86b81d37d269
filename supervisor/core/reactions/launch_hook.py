"""Reactions around the `before_launch` hook: when it is asked, and the wait after a refusal."""

from collections.abc import Sequence
from dataclasses import replace

from supervisor.core.effects import Effect, Record, Say, SurveyCheckpoints
from supervisor.core.events import Surveyed
from supervisor.core.launch_gate import (
    LONGEST_WAIT_S,
    AskLaunchHook,
    GateStage,
    LaunchGate,
    LaunchHookEnded,
)
from supervisor.core.reactions.reaction import Reaction
from supervisor.core.reactions.records import plain_decision
from supervisor.core.rules.decision import Decision, Verdict
from supervisor.core.states import State
from supervisor.core.vocabulary import Action, Failure, RunState, Tier

FIRST_WAIT_S = 10.0
RUNS = "the hook before_launch runs"


def is_asked_first(state: State, decision: Decision) -> bool:
    """Whether the hook has to be asked before this decision is carried out.

    It may bring checkpoints where none is valid. So it is asked before the run is held for that.
    """
    if not state.policy.has_launch_hook or state.gate.stage is GateStage.OPEN:
        return False
    return decision.verdict is Verdict.LAUNCH or decision.may_be_brought


def ask_first(
    state: State,
    last: State,
    survey: Surveyed,
    decision: Decision,
    effects: Sequence[Effect],
    incidents: Sequence[Effect],
) -> Reaction:
    """Have the hook asked. The checkpoints are read again once it lets the launch pass.

    `last`: the state before the decision. Of a hold that may not come it has no word.
    """
    says: tuple[Effect, ...] = ()
    if decision.verdict is Verdict.LAUNCH and decision.failure is not None:
        says = (Say(f"attempt {state.attempt}: {decision.reason}; {RUNS}, then the next attempt"),)
    told = state if decision.verdict is Verdict.LAUNCH else last
    before = state.gate.why or (told.failure, told.action, told.reason)
    missing = decision.reason if decision.verdict is Verdict.WAIT else None
    gate = LaunchGate(GateStage.ASKED, state.gate.waited_s, before, missing)
    state = replace(state, gate=gate, failure=told.failure, action=told.action, reason=RUNS)
    state = replace(state, stop=None, kill=None)
    ask = AskLaunchHook(state.attempt + 1, survey.unmounted, from_nothing=state.begin_again)
    return Reaction("ask first", state, (*effects, *says, ask, *incidents))


def without_brought(state: State, survey: Surveyed) -> tuple[Surveyed, tuple[str, ...]]:
    """What a run that was told to begin from nothing does not resume from, taken out of a survey.

    `--from-nothing` is refused where there is a valid checkpoint on the disk, so what is there now
    was brought by the hook, or came with a disk. It is set aside as the attempt is launched.
    """
    if not (state.begin_again and state.policy.has_launch_hook):
        return survey, ()
    if any(one.tier == Tier.MEMORY for one in survey.candidates):
        return survey, ()  # older ones on the disk beside it are no reason to refuse the option
    brought = tuple(one.path for one in survey.candidates)
    exists = survey.exists and (bool(survey.invalid) or not brought)
    return replace(survey, candidates=(), exists=exists), brought


def on_launch_hook_ended(state: State, event: LaunchHookEnded, now: float) -> Reaction:
    """Read the checkpoints again and launch; or wait, and ask again later."""
    gate = state.gate
    if not is_asked(state) or event.attempt != state.attempt + 1:
        return Reaction("noted", state)
    if event.refused is None:
        failure, action, reason = gate.why or (state.failure, state.action, "")
        state = replace(
            state,
            gate=LaunchGate(GateStage.OPEN),
            surveying=True,
            failure=failure,
            action=action,
            reason=reason,
        )
        return Reaction("passed", state, (SurveyCheckpoints(),))
    wait_s = min(LONGEST_WAIT_S, gate.waited_s * 2.0 or FIRST_WAIT_S)
    if gate.missing is not None:
        return _wait_for_mount(state, event.refused, gate.missing, now, wait_s)
    state = replace(
        state,
        gate=LaunchGate(GateStage.CLOSED, wait_s, gate.why),
        failure=Failure.LAUNCH_REFUSED,
        action=Action.WAIT,
        reason=event.refused,
        wake_at=now + wait_s,
    )
    entry = plain_decision(
        RunState.WAITING, Failure.LAUNCH_REFUSED, Action.WAIT, event.refused, wait_s
    )
    line = f"waiting: {event.refused}; it is asked again in {wait_s:.0f} s"
    return Reaction("refused", state, (Record(entry), Say(line)))


def _wait_for_mount(
    state: State, refused: str, missing: str, now: float, wait_s: float
) -> Reaction:
    """Look for the mount as often as without the hook; ask the hook again after its own pause."""
    failure, reason = Failure.CHECKPOINTS_MISSING, f"{missing}; {refused}"
    gate = LaunchGate(GateStage.CLOSED, wait_s, state.gate.why, ask_at=now + wait_s)
    state = replace(
        state, gate=gate, failure=failure, action=Action.WAIT, reason=reason, wake_at=now
    )
    entry = plain_decision(RunState.WAITING, failure, Action.WAIT, reason, 0.0)
    line = f"waiting: {reason}; it is asked again once that is mounted, or in {wait_s:.0f} s"
    return Reaction("refused", state, (Record(entry), Say(line)))


def is_asked(state: State) -> bool:
    """Whether the hook runs, and the launch waits for it."""
    return state.run is RunState.LAUNCHING and state.gate.stage is GateStage.ASKED


def closed(gate: LaunchGate) -> LaunchGate:
    """The gate once no launch waits for the hook any more."""
    return replace(gate, stage=GateStage.CLOSED)
