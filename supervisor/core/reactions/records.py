"""What decisions leave in the ledger."""

from supervisor.core.ending import Ending
from supervisor.core.entries.attempt import COURSE, AttemptEndedEntry
from supervisor.core.entries.decision import DecisionEntry
from supervisor.core.rules.decision import Decision, Verdict
from supervisor.core.states import State
from supervisor.core.vocabulary import Action, Failure, RunState

_STATES = {
    Verdict.BACKOFF: RunState.BACKOFF,
    Verdict.WAIT: RunState.WAITING,
    Verdict.HOLD: RunState.HELD,
    Verdict.FINISHED: RunState.COMPLETED,
    Verdict.PREEMPTED: RunState.PREEMPTED,
    Verdict.STOPPED: RunState.STOPPED,
}

# The keys of an end without a survey. A survey judges all others, so they are left out.
_UNREAD = (
    *("attempt", "code", "signal", "failure", "action", "reason", "step", "stop_requested"),
    *("saved", "charged"),
)


def plain_decision(
    state: RunState,
    failure: Failure | None,
    action: Action,
    reason: str,
    wait_s: float | None = None,
    place: str | None = None,
) -> DecisionEntry:
    """A decision that was made without a survey. `place`: where room is waited for."""
    return DecisionEntry(
        state=state,
        failure=failure,
        action=action.told,
        reason=reason,
        wait_s=wait_s,
        place=place,
    )


def attempt_ended(state: State, ending: Ending, decision: Decision) -> AttemptEndedEntry:
    """How an attempt ended, what was made of it, and what it cost."""
    budget = decision.budget
    return AttemptEndedEntry(
        attempt=ending.attempt,
        code=ending.code,
        signal=ending.signal,
        outcome=ending.outcome_code,
        failure=decision.failure,
        action=decision.action.told,
        reason=ending.reason,
        exception=ending.exception,
        frame=ending.frame,
        step=ending.step,
        first_step=ending.first_step_seen,
        ended_training=decision.ended_training,
        attached=ending.attached,
        stop_requested=state.stop.by if state.stop else None,
        saved=decision.saved,
        failures=budget.failures,
        repeats=budget.repeats,
        outages=budget.outages,
        full_deaths=budget.full_deaths,
        signature=budget.signature,
        charged=budget.recent != state.budget.recent,
        idle_stops=budget.idle_stops.count,
        idle_progress=budget.idle_stops.progress,
        evidence=ending.evidence,
        advice=ending.advice if decision.failure == ending.failure else None,
        doubt=decision.doubt,
    ).without(*COURSE)


def ended_unread(state: State) -> AttemptEndedEntry:
    """How an attempt ended, where the checkpoints could not be read."""
    ending = state.ending
    return AttemptEndedEntry(
        attempt=state.attempt,
        code=ending.code if ending else None,
        signal=ending.signal if ending else None,
        failure=Failure.FILESYSTEM,
        action=Action.RESUME_LATER,
        reason=state.reason,
        step=ending.step if ending else None,
        stop_requested=state.stop.by if state.stop else None,
        keys=_UNREAD,
    )


def decision_entry(decision: Decision, wait_s: float | None = None) -> DecisionEntry:
    """What was decided after a survey."""
    state, failure, action = _STATES[decision.verdict], decision.failure, decision.action
    return plain_decision(state, failure, action, decision.reason, wait_s, decision.place)
