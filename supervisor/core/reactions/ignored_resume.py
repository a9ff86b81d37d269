"""Reactions to an attempt that was told to go on from a step, and whose steps begin anew."""

from dataclasses import replace

from supervisor.core.effects import Effect, Incident, Record, Say, SendKill
from supervisor.core.entries.resuming import NotResumedEntry, ResumeDoubtedEntry, ResumeSeenEntry
from supervisor.core.events import BeginsAnew, GoesOn
from supervisor.core.reactions.hold import condemned
from supervisor.core.reactions.operator import KILL_ANSWER_S
from supervisor.core.reactions.reaction import Reaction
from supervisor.core.states import State
from supervisor.core.vocabulary import Failure, RunState


def on_begins_anew(state: State, event: BeginsAnew, now: float) -> Reaction:
    """The attempt trains from nothing over the run's checkpoints: end it, or warn that it may.

    It gets SIGKILL at once. At a SIGTERM it would save its few steps from nothing, perhaps over a
    good checkpoint, or beside it as the newest.
    """
    running = state.run is RunState.RUNNING and state.alive and event.attempt == state.attempt
    told = state.policy.has_resume_args or state.activity.attached
    if not running or state.resume_is_trusted or not told:
        return Reaction("noted", state)
    name = event.path.rpartition("/")[2]
    source, show = ("its heartbeats", "show") if event.is_beat else ("the log", "shows")
    what = (
        f"attempt {event.attempt} was told to go on from {name}, saved when {source} showed step"
        f" {event.expected}. But now {source} {show} steps {event.first} to {event.last}, which"
        " begin where this run's fresh start began"
    )
    if not event.is_beat and not event.writes_over:
        if state.resume_doubt is not None:
            return Reaction("noted", state)
        doubt = f"{what}. Does the trainer resume? Until that is known, no checkpoint is pruned"
        note = ResumeDoubtedEntry(attempt=event.attempt, reason=doubt)
        state = replace(state, resume_doubt=doubt)
        return Reaction("doubted", state, (Record(note), Say(doubt, is_doubt=True)))
    why = (
        f"{what}: the trainer does not resume (does it read the argument, or attach().resume_from?)"
    )
    done = (
        "killed by SIGKILL before its next save, since it would save at a SIGTERM; the run is held"
    )
    evidence = (f"shown at the save: step {event.expected}", f"shown now: step {event.last}")
    effects: tuple[Effect, ...] = (
        Record(NotResumedEntry(attempt=event.attempt, reason=why)),
        SendKill(event.attempt),
        Say(f"not resumed: {why}; ending the attempt before it saves over the run's checkpoints"),
        Incident(event.attempt, Failure.RESUME_IGNORED, why, evidence, done),
    )
    return Reaction("ends it", condemned(state, why, now + KILL_ANSWER_S), effects)


def on_goes_on(state: State, event: GoesOn) -> Reaction:
    """The attempt's steps go on from its checkpoint's: an earlier doubt is over."""
    if state.resume_doubt is None or event.attempt != state.attempt:
        return Reaction("noted", state)
    note = Record(ResumeSeenEntry(attempt=event.attempt))
    return Reaction("noted", replace(state, resume_doubt=None), (note,))
