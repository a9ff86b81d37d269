"""Reactions to people and schedulers: signals, intents, and a daemon's own beginning."""

from dataclasses import replace

from supervisor.core.effects import Effect, Exit, Record, Say, SendKill, SendStop, SurveyCheckpoints
from supervisor.core.entries.decision import IntentEntry, StopRequestedEntry
from supervisor.core.events import Begun, IntentChanged, StopAsked
from supervisor.core.reactions.hold import condemned, hold
from supervisor.core.reactions.launch_hook import closed, is_asked
from supervisor.core.reactions.persist_snapshot import is_memory_ahead, is_waiting, until_stopped
from supervisor.core.reactions.reaction import Reaction
from supervisor.core.reactions.records import ended_unread
from supervisor.core.reactions.stop import begin_stop, judged_late, stop_requested, with_stop
from supervisor.core.states import Kill, KillStage, State
from supervisor.core.vocabulary import (
    Action,
    ExitCode,
    Failure,
    Intent,
    Phase,
    RunState,
    StopSource,
)
from supervisor.core.wording import HELD_IDLE

KILL_ANSWER_S = 90.0
TERM_S = 15.0


def on_begun(state: State, event: Begun, now: float) -> Reaction:
    """A daemon begins: take up what the history and the launcher say."""
    if event.alive:
        return _take_over(replace(state, alive=True), event, now)
    if event.finished:
        state = replace(
            state,
            failure=Failure.COMPLETED,
            action=Action.NONE,
            reason="the run was finished before",
        )
        return Reaction("finished before", state, (Exit(ExitCode.FINISHED),))
    if event.intent is Intent.STOP:
        return Reaction("stop intended", *_stopped(state))
    if event.held is not None:
        return hold(state, "held before", event.held, is_known=True)
    if event.intent is Intent.HOLD:
        return _hold_idle(state, "hold intended")
    if event.pause is not None:
        paused = replace(state, wake_at=now if event.wake_at is None else event.wake_at)
        return Reaction("in backoff" if event.pause is RunState.BACKOFF else "waiting", paused)
    return Reaction("nothing runs", replace(state, surveying=True), (SurveyCheckpoints(),))


def _take_over(state: State, event: Begun, now: float) -> Reaction:
    """Go on with an attempt as the daemon before would have: its stop or its kill included.

    Their time has been running meanwhile. Otherwise a daemon that dies again and again would keep
    an attempt alive that was to be killed.
    """
    sent_at = now if event.stop_sent_at is None else event.stop_sent_at
    if event.stop_by is not None:
        since = sent_at if event.stop_since is None else event.stop_since
        state = with_stop(state, event.stop_by, since, wall=event.stop_wall)
    if event.not_resumed is not None:
        since = now if event.kill_sent_at is None else event.kill_sent_at
        doomed = condemned(state, event.not_resumed, since + KILL_ANSWER_S)
        return Reaction("attempt being killed", doomed, (SendKill(state.attempt),))
    failure = None if event.hung is None else event.hung_as
    if event.kill_sent:
        killed = Kill(KillStage.KILL, failure, event.hung or "a kill was under way")
        since = now if event.kill_sent_at is None else event.kill_sent_at
        state = replace(state, kill=killed, wake_at=since + KILL_ANSWER_S)
        return Reaction("attempt being killed", state)
    if event.hung is not None and event.stop_by is None:
        hung = Kill(KillStage.TERM, failure, event.hung)
        state = replace(
            state, kill=hung, wake_at=sent_at + TERM_S, failure=failure or state.failure
        )
        order = SendStop(state.attempt, max(sent_at + TERM_S - now, 0.0), is_hang=True)
        return Reaction("attempt being killed", state, (order,))
    if event.stop_sent or event.stop_by is not None:
        if state.stop is None:
            state = with_stop(state, StopSource.EARLIER, sent_at, wall=event.stop_wall)
        state = until_stopped(state)
        assert state.stop is not None
        # A repeated order does no harm, and the first one may have died with its daemon.
        order = SendStop(state.attempt, max(state.stop.until - now, 0.0))
        return Reaction("attempt stopping", state, (order,))
    return Reaction("attempt alive", state)


def on_stop_asked(state: State, event: StopAsked, now: float) -> Reaction:
    """A signal to the launcher: a drain, not an intent."""
    match state.run:
        case RunState.DRAINING:
            return _again(state, event, now)
        case RunState.KILLING:
            # The process that was to carry out the order may have died. Repeating it does no harm.
            if state.stop is not None:
                state, notes = _besides(state, event)
                return Reaction("noted", state, (*notes, *_repeated(state)))
            orders = _repeated(state)
            interrupt = event.by is StopSource.SIGINT
            state = with_stop(state, event.by, now, interrupt=interrupt, wall=event.wall)
            return Reaction("noted", state, (_noted(state), *orders))
        case _ if state.alive:
            begun = begin_stop(state, event.by, now, event.wall)
            return Reaction("attempt alive", *begun)
        case RunState.LAUNCHING if state.ending is not None:
            state = judged_late(state, event.by, now, wall=event.wall)
            return Reaction("being judged", state, (_noted(state),))
        case _ if _has_more_in_memory(state):
            state = judged_late(state, event.by, now, wall=event.wall)
            changed = replace(state, surveying=True, gate=closed(state.gate))
            return Reaction("rescue first", changed, (_noted(state), SurveyCheckpoints()))
        case _:
            reason = f"stopped by {event.by.shown}; nothing was running"
            by_user = event.by.is_user
            state = replace(
                state,
                surveying=False,
                failure=Failure.STOPPED_BY_USER if by_user else Failure.PREEMPTED,
                action=Action.NONE if by_user else Action.RESUME_LATER,
                reason=reason,
                wake_at=None,
            )
            note = Record(StopRequestedEntry(by=event.by))
            effects = (note, *_unjudged(state), Exit(ExitCode.PREEMPTED))
            return Reaction("nothing runs", state, effects)


def _noted(state: State) -> Record:
    assert state.stop is not None
    return Record(stop_requested(state.stop))


def _besides(state: State, event: StopAsked) -> tuple[State, tuple[Effect, ...]]:
    """Note a further source that asks for the stop: it outlives the intent and this daemon."""
    stop = state.stop
    assert stop is not None
    if event.by in (stop.by, stop.besides):
        return state, ()
    entry = StopRequestedEntry(by=event.by, late=stop.late)
    return replace(state, stop=replace(stop, besides=event.by)), (Record(entry),)


def _repeated(state: State) -> tuple[Effect, ...]:
    match None if state.kill is None else state.kill.stage:
        case KillStage.KILL:
            return (SendKill(state.attempt),)
        case KillStage.TERM:
            return (SendStop(state.attempt, TERM_S, is_hang=True),)
        case _:
            return ()


def _again(state: State, event: StopAsked, now: float) -> Reaction:
    state, notes = _besides(state, event)
    assert state.stop is not None
    if event.is_anew and state.alive and not state.stop.is_unsaveable:
        notes = (*notes, SendStop(state.attempt, max(state.stop.until - now, 0.0)))
    if event.by is not StopSource.SIGINT:
        return Reaction("again", state, notes)
    count = state.stop.interrupts + 1
    left = max(state.stop.until - now, 0.0)
    state = replace(state, stop=replace(state.stop, interrupts=count))
    if count >= 3 and not state.alive:
        return unread(state, "third interrupt, ended", "the user did not wait for the checkpoints")
    if count < 3:
        step = state.activity.step
        doing = "the trainer was asked to save and end"
        if state.activity.phase is Phase.SAVE:
            doing = "the trainer is saving" if step is None else f"step {step} is being saved"
        if is_waiting(state):
            doing = "the newest snapshot in memory is being put onto the disk"
        doing = f"{doing} (up to {left:.0f} s more)"
        line = f"{doing}; a third Ctrl-C kills it and loses what is not saved"
        return Reaction("again", state, (*notes, Say(line)))
    state = replace(
        state,
        kill=Kill(KillStage.KILL, None, "interrupted three times"),
        wake_at=now + KILL_ANSWER_S,
    )
    line = "killing the trainer: interrupted three times"
    return Reaction("third interrupt", state, (*notes, Say(line), SendKill(state.attempt)))


def on_intent_changed(state: State, event: IntentChanged, now: float) -> Reaction:
    """The intent file says something else; it beats all automation."""
    before, state = state.intent, replace(state, intent=event.intent)
    note = Record(IntentEntry(intent=event.intent))
    being_judged = state.ending is not None and state.run is RunState.LAUNCHING
    if event.intent is Intent.STOP:
        if state.run in {RunState.DRAINING, RunState.KILLING}:
            if state.stop is None:
                state = with_stop(state, StopSource.INTENT, now, wall=event.wall)
            return Reaction("noted", state, (note,))
        if state.alive:
            changed, effects = begin_stop(state, StopSource.INTENT, now, event.wall)
            return Reaction("stop, attempt alive", changed, (note, *effects))
        if being_judged:
            stopping = judged_late(state, StopSource.INTENT, now, wall=event.wall)
            return Reaction("stop, being judged", stopping, (note,))
        if _has_more_in_memory(state):
            stopping = judged_late(state, StopSource.INTENT, now, wall=event.wall)
            stopping = replace(stopping, surveying=True, gate=closed(state.gate))
            return Reaction("stop, rescue first", stopping, (note, SurveyCheckpoints()))
        changed, effects = _stopped(state)
        return Reaction("stop, nothing runs", changed, (note, *effects))
    idle = not (state.alive or being_judged) and state.run is not RunState.DRAINING
    if event.intent is Intent.HOLD and idle and _has_more_in_memory(state):
        state = replace(state, surveying=True, wake_at=None, gate=closed(state.gate))
        return Reaction("hold, rescue first", state, (note, SurveyCheckpoints()))
    if event.intent is Intent.HOLD and idle:
        return _hold_idle(state, "hold, nothing runs", note)
    if event.intent is Intent.RUN and state.run in {RunState.BACKOFF, RunState.WAITING}:
        state = replace(state, surveying=True, wake_at=None)
        return Reaction("go on now", state, (note, SurveyCheckpoints()))
    effects = (note,) if before is not event.intent else ()
    return Reaction("noted", state, effects)


def _has_more_in_memory(state: State) -> bool:
    """Whether the run waits for its next attempt, and memory is ahead of the disk."""
    waits = state.run in {RunState.BACKOFF, RunState.WAITING} or is_asked(state)
    return waits and is_memory_ahead(state)


def _stopped(state: State) -> tuple[State, tuple[Effect, ...]]:
    reason = "stopped by `supervisor stop`; `supervisor resume` lets it go on"
    state = replace(
        state,
        surveying=False,
        wake_at=None,
        failure=Failure.STOPPED_BY_USER,
        action=Action.NONE,
        reason=reason,
    )
    return state, (*_unjudged(state), Exit(ExitCode.PREEMPTED))


def _hold_idle(state: State, condition: str, *notes: Effect) -> Reaction:
    state = replace(state, reason=HELD_IDLE)
    notes = (*notes, *_unjudged(state))
    return hold(state, condition, HELD_IDLE, notes=notes, is_known=True)


def _unjudged(state: State) -> tuple[Effect, ...]:
    """The entry of an attempt's end whose checkpoints were not read yet, if there is one."""
    return () if state.ending is None else (Record(ended_unread(state)),)


def unread(state: State, condition: str, reason: str) -> Reaction:
    """End a stop without knowing what was saved."""
    state = replace(state, surveying=False, wake_at=None, action=Action.RESUME_LATER, reason=reason)
    line = f"stopped; whether the trainer saved is not known: {reason}"
    effects = (Record(ended_unread(state)), Say(line), Exit(ExitCode.PREEMPTED))
    return Reaction(condition, state, effects)
