"""Holds a run: the one place that sets its state, records it, says it, and ends the supervisor."""

from collections.abc import Sequence
from dataclasses import replace

from supervisor.core.effects import Effect, Exit, Incident, Record, Say
from supervisor.core.reactions.reaction import Reaction
from supervisor.core.reactions.records import plain_decision
from supervisor.core.states import Kill, KillStage, State
from supervisor.core.vocabulary import Action, ExitCode, Failure, RunState
from supervisor.core.wording import clauses

# When a run that is held for a mistake can go on.
MENDED = "once that is mended"


def hold(
    state: State,
    condition: str,
    reason: str,
    failure: Failure | None = None,
    *,
    run: RunState = RunState.HELD,
    code: ExitCode = ExitCode.HELD,
    once: str | None = None,
    notes: Sequence[Effect] = (),
    incident: Incident | None = None,
    is_known: bool = False,
) -> Reaction:
    """Launch nothing more until a human has looked; `run` is held, or stuck.

    `once`: when the run can go on, said with what to type then. `notes` go before the rest.
    `is_known`: the hold is on record, or is the operator's own intent. It is neither recorded nor
    said again then.
    """
    state = replace(
        state,
        surveying=False,
        wake_at=None,
        failure=failure or state.failure,
        action=Action.HOLD,
        reason=reason or state.reason,
    )
    ends: tuple[Effect, ...] = (*notes, Exit(code))
    if not is_known:
        entry = plain_decision(run, failure, Action.HOLD, reason)
        evidence = () if incident is None else (incident,)
        go_on = f"`{state.policy.resume_line}`, then `{state.policy.run_line}`"
        advice = f"; {once}: {go_on}" if once else ""
        if once == MENDED and state.advice is not None:
            advice = f". {state.advice.text}{advice}"
        line = f"{run.value}: {reason}{advice}"
        parts = _for_terminal(state, run.value, reason, once)
        ends = (*notes, Record(entry), *evidence, Say(line, parts=parts), Exit(code))
    return Reaction(condition, state, ends)


def _for_terminal(state: State, run: str, reason: str, once: str | None) -> tuple[str, ...]:
    if once is None:
        return (f"{run}:", *clauses(reason))
    first = f"{run}; {'once this is mended' if once == MENDED else once}, type"
    is_advised = once == MENDED and state.advice is not None
    advice = (state.advice.text,) if is_advised and state.advice is not None else ()
    lines = (state.policy.resume_line, state.policy.run_line)
    return (first, *lines, *clauses(reason), *advice)


def hold_stuck(
    state: State, condition: str, reason: str, evidence: tuple[str, ...] = ()
) -> Reaction:
    """Hold the run as stuck, for an attempt that SIGKILL does not end."""
    incident = Incident(state.attempt, Failure.STUCK, reason, evidence, "the run is held")
    run, failure = RunState.STUCK, Failure.STUCK
    return hold(state, condition, reason, failure, run=run, incident=incident)


def condemned(state: State, why: str, wake_at: float) -> State:
    """The state while SIGKILL ends an attempt; the run is held once all of the attempt is gone."""
    failure, action = Failure.RESUME_IGNORED, Action.HOLD
    kill = Kill(KillStage.KILL, failure, why, action)
    return replace(state, kill=kill, failure=failure, action=action, reason=why, wake_at=wake_at)
