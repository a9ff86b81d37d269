"""Reactions to what attempts do: they start, and they end."""

from dataclasses import replace

from supervisor.core.effects import Effect, Exit, Record, Say, SurveyCheckpoints
from supervisor.core.ending import Ending
from supervisor.core.entries.attempt import ParkedEntry, StartFailedEntry
from supervisor.core.events import Exited, ParkedSeen, Started, StartFailed, Unkillable
from supervisor.core.reactions.hold import MENDED, hold, hold_stuck
from supervisor.core.reactions.persist_snapshot import after_stop
from supervisor.core.reactions.reaction import Reaction
from supervisor.core.reactions.records import plain_decision
from supervisor.core.replayed_description import with_reached
from supervisor.core.rules.budget import backoff_s, exhausted, with_failure
from supervisor.core.rules.patience import with_hang
from supervisor.core.rules.warm_launch import Launched, LaunchMode, ParkedStage
from supervisor.core.sign_of_life import OwnSave, StopAnswer
from supervisor.core.states import Activity, State
from supervisor.core.vocabulary import Action, ExitCode, Failure, Intent, RunState


def on_started(state: State, event: Started, now: float) -> Reaction:
    """The main process runs."""
    expected = state.alive and event.attempt == state.attempt
    if not expected:
        return Reaction("noted", state)
    known = None if state.launched is None else state.launched.why_cold
    launched = Launched(event.is_warm, known if event.is_warm else event.why_cold)
    parked = state.parked
    if event.is_warm or (parked is not None and parked.stage is ParkedStage.ABSENT):
        parked = None  # what prevented the last spare interpreter need not prevent the next
    state = replace(state, launched=launched, parked=parked)
    if state.run is not RunState.LAUNCHING:
        return Reaction("noted", state)
    says: tuple[Effect, ...] = ()
    insists = state.policy.launch_mode is LaunchMode.WARM
    if insists and not event.is_warm and event.attempt > 1:
        why = event.why_cold or "no reason was given"
        says = (Say(f"attempt {event.attempt} is launched cold, not warm as configured: {why}"),)
    state = replace(state, activity=Activity(started_at=now), begin_again=False)
    return Reaction("started", state, says)


def on_parked_seen(state: State, event: ParkedSeen) -> Reaction:
    """The spare interpreter is ready, or there is none."""
    parked, before = event.parked, state.parked
    state = replace(state, parked=parked)
    if parked.stage is ParkedStage.WAITING and event.took_s is not None:
        state = replace(state, times=replace(state.times, park_s=event.took_s))
        entry = ParkedEntry(seconds=event.took_s, rss_bytes=event.rss_bytes)
        return Reaction("noted", state, (Record(entry),))
    is_refusal = parked.stage is ParkedStage.ABSENT and state.run is RunState.RUNNING
    is_told = event.is_loud or state.policy.launch_mode is LaunchMode.WARM
    if is_refusal and is_told and parked != before and parked.reason is not None:
        return Reaction("noted", state, (Say(f"no interpreter is parked: {parked.reason}"),))
    return Reaction("noted", state)


def on_start_failed(state: State, event: StartFailed, now: float) -> Reaction:
    """Nothing was started: a wrong command holds at once, short resources are a failure."""
    is_stopping = state.stop is not None and state.run in {RunState.DRAINING, RunState.KILLING}
    if state.run is not RunState.LAUNCHING and not is_stopping:
        return Reaction("noted", state)
    ending = Ending(state.attempt, None, None, failure=Failure.CONFIGURATION, reason=event.message)
    record = StartFailedEntry(
        attempt=event.attempt, reason=event.message, keys=("attempt", "reason")
    )
    state = replace(state, alive=False, reason=event.message, wake_at=None)
    if is_stopping:
        stopped = state.intent is Intent.STOP
        state = replace(state, failure=Failure.STOPPED_BY_USER if stopped else Failure.PREEMPTED)
        ends = (Record(record), Exit(ExitCode.PREEMPTED))
        return Reaction("stopped" if stopped else "preempted", state, ends)
    if not event.transient:
        why, failure = event.message, Failure.CONFIGURATION
        code, notes = event.exit_code, (Record(record),)
        return hold(state, "cannot start", why, failure, code=code, once=MENDED, notes=notes)
    budget = with_failure(state.budget, replace(ending, failure=Failure.UNKNOWN), now)
    state = replace(state, budget=budget, failure=Failure.UNKNOWN, action=Action.BACKOFF)
    record = replace(record, failures=budget.failures, charged=True, keys=None)
    spent = exhausted(budget, state.policy)
    if spent is not None:
        why = f"{event.message}; {spent}"
        return hold(state, "budget spent", why, Failure.UNKNOWN, notes=(Record(record),))
    wait_s = backoff_s(state.policy, budget.failures, state.attempt)
    entry = plain_decision(RunState.BACKOFF, Failure.UNKNOWN, Action.BACKOFF, event.message, wait_s)
    line = f"{event.message}; next attempt in {wait_s:.1f} s"
    state = replace(state, wake_at=now + wait_s)
    return Reaction("no resources", state, (Record(record), Record(entry), Say(line)))


def on_exited(state: State, event: Exited, now: float) -> Reaction:
    """Everything of the attempt is gone: the checkpoints are read before anything is decided."""
    ending = event.ending
    if state.kill is not None and state.kill.failure is not None:
        ending = replace(
            ending,
            failure=state.kill.failure,
            action=state.kill.action,
            reason=state.kill.reason,
            exception=None,
            ended_by_us=True,
        )
    elif state.kill is not None and state.stop is None and ending.failure is Failure.UNKNOWN:
        ending = replace(ending, reason=state.kill.reason)  # all that is known: why we ended it
    reached = max((s for s in (state.reached_step, ending.step) if s is not None), default=None)
    state = replace(
        state,
        alive=False,
        surveying=True,
        ending=ending,
        activity=replace(
            state.activity, step=state.activity.step if ending.step is None else ending.step
        ),
        kill=None,
        left=None,
        wake_at=None,
        reached_step=reached,
        reached_trainings=with_reached(state.reached_trainings, state.description, ending.step),
        end_unseen=False,
        ever_attached=state.ever_attached or ending.attached,
    )
    if ending.failure is Failure.HANG:
        step = state.begun_at if ending.step is None else ending.step
        state = replace(state, hung_at=with_hang(state.hung_at, step))
    condition = "ended"
    state = _with_answer(state, ending)
    if state.stop is not None and state.run in {RunState.DRAINING, RunState.KILLING}:
        condition = "ended as asked"
        state = replace(state, wake_at=after_stop(state.stop, state.policy, now))
    return Reaction(condition, state, (SurveyCheckpoints(),))


def _with_answer(state: State, ending: Ending) -> State:
    """The state, with a stop that the trainer answered by ending at once: no save of it was due."""
    stop, signs = state.stop, state.activity.signs
    if stop is None or stop.own_save is not None or state.run is not RunState.DRAINING:
        return state
    if stop.is_unsaveable:
        return state
    if signs is None or signs.stop is not StopAnswer.ENDS or ending.effective_code == 0:
        return state
    return replace(state, stop=replace(stop, own_save=OwnSave.NOT_DUE))


def on_unkillable(state: State, event: Unkillable, now: float) -> Reaction:
    """A process survives SIGKILL (uninterruptible sleep): end, and never launch over it."""
    reason = f"a process survives SIGKILL: {event.what}; nothing is launched while it lives"
    evidence = (event.what, *event.evidence)
    return hold_stuck(state, "survives SIGKILL", reason, evidence)
