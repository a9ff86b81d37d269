"""Reactions while a run waits for a cause that clears by itself: when to look, and what follows."""

from dataclasses import replace

from supervisor.core.effects import Probe, Say, SurveyCheckpoints
from supervisor.core.events import Probed
from supervisor.core.reactions.reaction import Reaction
from supervisor.core.rules import disk_space
from supervisor.core.states import State
from supervisor.core.vocabulary import Failure, RunState

PROBE_EVERY_S = 5.0
# A look writes to a disk that may not answer. The daemon gives the look up before this.
PROBE_ANSWER_S = 180.0


def look_again(state: State, now: float) -> Reaction:
    """The pause is over: have the cause looked at, or the hook asked again."""
    ask_at = state.gate.ask_at
    if state.failure is Failure.LAUNCH_REFUSED or (ask_at is not None and now >= ask_at):
        state = replace(state, surveying=True, wake_at=None)
        return Reaction("ask again", state, (SurveyCheckpoints(),))
    is_full = state.failure is Failure.DISK_FULL
    state = replace(state, wake_at=now + (PROBE_ANSWER_S if is_full else PROBE_EVERY_S))
    probe = Probe(state.failure or Failure.UNKNOWN, state.full_place)
    return Reaction("time is up", state, (probe,))


def on_probed(state: State, event: Probed, now: float) -> Reaction:
    """What the run waits for is there again, or not yet."""
    if state.run is not RunState.WAITING:
        return Reaction("noted", state)
    if event.clear:
        state = replace(state, surveying=True, wake_at=None, reason=event.what, full_looks=0)
        return Reaction("clear", state, (Say(f"{event.what}: going on"), SurveyCheckpoints()))
    if state.failure is not Failure.DISK_FULL:
        return Reaction("not yet", replace(state, wake_at=state.wake_at or now + PROBE_EVERY_S))
    looks = state.full_looks + 1
    state = replace(state, full_looks=looks, wake_at=now + disk_space.wait_s(state.budget, looks))
    return Reaction("not yet", state)
