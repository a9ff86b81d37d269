"""Reactions to what is seen of a running attempt, and to time."""

from dataclasses import replace

from supervisor.core.effects import (
    Effect,
    Park,
    Record,
    Say,
    SendKill,
    SurveyCheckpoints,
)
from supervisor.core.entries.attempt import FirstStepEntry
from supervisor.core.entries.decision import SuspendedEntry
from supervisor.core.events import Observed, Suspended, Tick
from supervisor.core.look_facts import Health
from supervisor.core.reactions.hang_looks import on_overdue, report_silence, within_deadline
from supervisor.core.reactions.kill import next_stage
from supervisor.core.reactions.left_behind import excused
from supervisor.core.reactions.operator import KILL_ANSWER_S, unread
from supervisor.core.reactions.own_save import give_up, is_overdue
from supervisor.core.reactions.persist_snapshot import give_up_waiting, is_waiting, rescue_now
from supervisor.core.reactions.ranks_gone import on_ranks_gone
from supervisor.core.reactions.reaction import Reaction
from supervisor.core.reactions.wait import look_again
from supervisor.core.rules.deadlines import judge_health
from supervisor.core.rules.goodput import with_first_step
from supervisor.core.rules.patience import doublings, standing_at
from supervisor.core.rules.warm_launch import (
    UNSEEN_BEGIN_S,
    Parked,
    ParkedStage,
    is_wanted,
    trust_at_first_step,
)
from supervisor.core.states import Kill, KillStage, State
from supervisor.core.vocabulary import Phase, RunState


def on_observed(state: State, event: Observed, now: float) -> Reaction:
    """One look at a running attempt: learn from it, and judge whether the attempt is healthy."""
    if event.attempt != state.attempt or not state.alive:
        return Reaction("noted", state)
    first = event.beating and not state.activity.first_step_seen
    has_begun = state.activity.first_step_seen or _begins_unseen(state, event, now)
    learned = state.learned
    began_at = now if event.first_step_at is None else event.first_step_at
    startup_s = max(began_at - state.activity.started_at, 0.0)
    if first:
        learned = learned.with_seen(Phase.STARTUP, startup_s)
    looks = state.activity.looks
    if event.gap_s is not None and event.phase is Phase.STEP:
        is_late = looks.overdue is not None
        if not is_late or looks.was_late:
            learned = learned.with_seen(Phase.STEP, event.gap_s)
        # A gap past the deadline is an evaluation between two steps; two in a row are slow steps.
        looks = replace(looks, was_late=is_late)
    for phase, seconds in event.finished_phases:
        learned = learned.with_seen(phase, seconds)
    account = state.account
    if state.activity.step is None and event.step is not None:
        account = with_first_step(account, state.activity)
    activity = replace(
        state.activity,
        unknown_s=state.activity.unknown_s if event.step is None else 0.0,
        phase=event.phase,
        step=event.step if event.step is not None else state.activity.step,
        first_step_seen=state.activity.first_step_seen or event.beating,
        attached=state.activity.attached or event.attached,
        silence_reported=state.activity.silence_reported and event.log_age_s > 1.0,
        looks=looks,
        is_desertion_told=state.activity.is_desertion_told and event.gone is not None,
    )
    state = replace(
        state,
        activity=activity,
        account=account,
        learned=learned,
        ever_attached=state.ever_attached or event.attached,
    )
    notes: tuple[Effect, ...] = ()
    if first:
        state, notes = _note_first_step(state, event, startup_s)
    if state.run is not RunState.RUNNING:
        return Reaction("noted", state, notes)
    if has_begun and is_wanted(state.parked, state.policy.launch_mode, now, state.warm):
        # One look after the first step: by then the trainer has said what it had imported.
        state = replace(state, parked=Parked(ParkedStage.IMPORTING, since=now))
        notes = (*notes, Park(state.attempt))
    reaction = _judged(state, event, now)
    return replace(reaction, effects=(*notes, *reaction.effects))


def _judged(state: State, event: Observed, now: float) -> Reaction:
    if event.gone is not None:
        return on_ranks_gone(within_deadline(state), event.gone, now)
    judged = judge_health(
        event,
        state.activity,
        state.policy,
        state.learned,
        now,
        standing_at=standing_at(state),
        factor=2 ** doublings(state),
    )
    match judged.health:
        case Health.HEALTHY:
            return Reaction("healthy", within_deadline(state))
        case Health.SILENT if not state.policy.restart_on_silence:
            return report_silence(state, judged.why, "silent")
        case Health.OVERDUE | Health.SILENT | Health.QUIET | Health.LINGERING:
            return on_overdue(state, event, judged, now)


def _begins_unseen(state: State, event: Observed, now: float) -> bool:
    """Whether a trainer that does not attach may be taken to have begun."""
    ran_s = now - state.activity.started_at
    return not event.attached and (event.step is not None or ran_s >= UNSEEN_BEGIN_S)


def _note_first_step(
    state: State, event: Observed, startup_s: float
) -> tuple[State, tuple[Effect, ...]]:
    is_warm = state.launched is not None and state.launched.is_warm
    times = state.times.with_start(startup_s, warm=is_warm)
    state = replace(state, times=times, warm=trust_at_first_step(state.warm))
    entry = FirstStepEntry(
        attempt=state.attempt,
        step=state.activity.step,
        startup_s=round(startup_s, 3),
        launch="warm" if is_warm else "cold",
        done_at=event.first_step_at,
    )
    return state, (Record(entry),)


def on_suspended(state: State, event: Suspended, now: float) -> Reaction:
    """After a suspend every age is stale: deadlines begin anew."""
    activity = replace(state.activity, excused_since=now)
    wake_at, stop = state.wake_at, state.stop
    notes: tuple[Effect, ...] = ()
    longer_s = event.gap_s
    if stop is not None:
        until = stop.until + event.gap_s
        if stop.limit is not None:
            # The scheduler's clock went on: it kills at the time that it had said.
            until = max(stop.until, min(until, stop.limit))
        longer_s = until - stop.until
        stop = replace(stop, until=until)
        # On record, so that the next daemon extends the grace, too.
        notes = (Record(SuspendedEntry(gap_s=round(event.gap_s, 3))),)
    if wake_at is not None and state.run is RunState.KILLING:
        # The trainer was suspended as well, and could not use the time that passed.
        wake_at += event.gap_s
    elif wake_at is not None and state.run is RunState.DRAINING:
        wake_at += longer_s
    left = excused(state.left, event.gap_s)
    state = replace(state, activity=activity, stop=stop, wake_at=wake_at, left=left)
    return Reaction("excused", state, notes)


def on_tick(state: State, event: Tick, now: float) -> Reaction:
    """A wait is over, or not yet."""
    if state.wake_at is None or now < state.wake_at:
        return Reaction("early", state)
    state = replace(state, wake_at=None)
    match state.run:
        case RunState.BACKOFF:
            return Reaction("time is up", replace(state, surveying=True), (SurveyCheckpoints(),))
        case RunState.WAITING:
            return look_again(state, now)
        case RunState.LAUNCHING | RunState.DRAINING if is_waiting(state):
            return give_up_waiting(state, now)
        case RunState.DRAINING if is_overdue(state, now):
            return give_up(state)
        case RunState.DRAINING if state.stop is not None and state.alive and now < state.stop.until:
            return rescue_now(state)
        case RunState.DRAINING if state.alive:
            kill = Kill(KillStage.KILL, None, "the grace is over")
            state = replace(state, kill=kill, wake_at=now + KILL_ANSWER_S)
            had_s = now - state.stop.since if state.stop else state.policy.grace_s
            line = f"the attempt did not end within {had_s:.0f} s (the grace): killing it"
            return Reaction("grace is over", state, (SendKill(state.attempt), Say(line)))
        case RunState.DRAINING if state.surveying:
            return unread(state, "unread in time", "the checkpoints could not be read in time")
        case RunState.KILLING:
            return next_stage(state, now)
        case _:
            return Reaction("early", state)
