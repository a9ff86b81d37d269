"""The one function that decides: `step(state, event, now) -> (state, effects)`."""

from dataclasses import replace
from typing import assert_never

from supervisor.core.effects import Effect
from supervisor.core.events import (
    BeginsAnew,
    Begun,
    Event,
    Exited,
    GoesOn,
    IntentChanged,
    JobSeen,
    Looked,
    MemorySeen,
    Observed,
    ParkedSeen,
    Probed,
    Rescued,
    StacksTaken,
    Started,
    StartFailed,
    StopAsked,
    Surveyed,
    SurveyFailed,
    Suspended,
    Tick,
    Unkillable,
)
from supervisor.core.launch_gate import LaunchHookEnded
from supervisor.core.left_behind_events import LeftSeen, MainEnded
from supervisor.core.reactions.attempts import (
    on_exited,
    on_parked_seen,
    on_start_failed,
    on_started,
    on_unkillable,
)
from supervisor.core.reactions.described import on_described
from supervisor.core.reactions.hang_looks import on_looked
from supervisor.core.reactions.ignored_resume import on_begins_anew, on_goes_on
from supervisor.core.reactions.kill import on_stacks_taken
from supervisor.core.reactions.launch_hook import on_launch_hook_ended
from supervisor.core.reactions.left_behind import on_left_seen, on_main_ended
from supervisor.core.reactions.operator import on_begun, on_intent_changed, on_stop_asked
from supervisor.core.reactions.own_save import on_signs_seen
from supervisor.core.reactions.persist_snapshot import on_memory_seen, on_rescued
from supervisor.core.reactions.poll import (
    on_observed,
    on_suspended,
    on_tick,
)
from supervisor.core.reactions.reaction import Reaction
from supervisor.core.reactions.stop import on_job_seen
from supervisor.core.reactions.survey import on_survey_failed, on_surveyed
from supervisor.core.reactions.wait import on_probed
from supervisor.core.rules.goodput import spend
from supervisor.core.sign_of_life import SignsSeen
from supervisor.core.states import State
from supervisor.core.table import target
from supervisor.core.trainer_description import Described
from supervisor.core.vocabulary import TERMINAL


def step(state: State, event: Event, now: float) -> tuple[State, tuple[Effect, ...]]:
    """Decide. `now` is monotonic seconds; a final state answers nothing.

    Raises IllegalTransition where a reaction finds a condition that the table does not have; the
    state that was passed in is unchanged then.
    """
    if state.run in TERMINAL or _is_stale(state, event):
        return state, ()
    state = spend(state, now)
    reaction = _react(state, event, now)
    return replace(reaction.state, run=target(state.run, event, reaction.condition)), (
        reaction.effects
    )


def _is_stale(state: State, event: Event) -> bool:
    """Whether the event tells of an attempt that is over: late news, never acted upon."""
    match event:
        case Exited(ending):
            return ending.attempt != state.attempt or not state.alive
        case Unkillable(attempt) | StartFailed(attempt):
            return attempt != state.attempt or not state.alive
        case MainEnded(attempt) | LeftSeen(attempt):
            return attempt != state.attempt or not state.alive
        case _:
            return False


def _react(state: State, event: Event, now: float) -> Reaction:
    match event:
        case Begun():
            return on_begun(state, event, now)
        case Surveyed():
            return on_surveyed(state, event, now)
        case SurveyFailed():
            return on_survey_failed(state, event, now)
        case LaunchHookEnded():
            return on_launch_hook_ended(state, event, now)
        case Started():
            return on_started(state, event, now)
        case StartFailed():
            return on_start_failed(state, event, now)
        case Exited():
            return on_exited(state, event, now)
        case MainEnded():
            return on_main_ended(state, event, now)
        case LeftSeen():
            return on_left_seen(state, event, now)
        case Unkillable():
            return on_unkillable(state, event, now)
        case Observed():
            return on_observed(state, event, now)
        case SignsSeen():
            return on_signs_seen(state, event, now)
        case Described():
            return on_described(state, event)
        case Looked():
            return on_looked(state, event, now)
        case BeginsAnew():
            return on_begins_anew(state, event, now)
        case GoesOn():
            return on_goes_on(state, event)
        case StacksTaken():
            return on_stacks_taken(state, event, now)
        case MemorySeen():
            return on_memory_seen(state, event)
        case ParkedSeen():
            return on_parked_seen(state, event)
        case Rescued():
            return on_rescued(state, event, now)
        case StopAsked():
            return on_stop_asked(state, event, now)
        case IntentChanged():
            return on_intent_changed(state, event, now)
        case Probed():
            return on_probed(state, event, now)
        case JobSeen():
            return on_job_seen(state, event, now)
        case Suspended():
            return on_suspended(state, event, now)
        case Tick():
            return on_tick(state, event, now)
        case _:
            assert_never(event)
