"""How often a run is looked at: twice a second, and once where it has been as it should be."""

from supervisor.core.states import State
from supervisor.core.vocabulary import RunState

POLL_S = 0.5
CALM_POLL_S = 1.0
# By then what a launch has to show was seen: its first step, a resume, where it saves.
CALM_AFTER_S = 20.0
# A later look costs a deadline this part of it at most.
_PART = 1 / 30


def pause_s(state: State, now: float) -> float:
    """Seconds until the next look; `now` is monotonic.

    Only a pause of the deciding loop: whatever ends, arrives on a socket or appears in the
    checkpoint directory wakes it at once.
    """
    activity = state.activity
    is_calm = (
        state.run is RunState.RUNNING
        and activity.first_step_seen
        and now - activity.started_at >= CALM_AFTER_S
        and activity.looks.overdue is None
        and _shortest_limit_s(state) * _PART >= CALM_POLL_S
    )
    return CALM_POLL_S if is_calm else POLL_S


def _shortest_limit_s(state: State) -> float:
    """The shortest silence that the configuration allows; what is learned is a minute at least."""
    policy = state.policy
    limits = (policy.heartbeat_timeout_s, policy.startup_timeout_s, policy.log_silence_s)
    phases = (limit for _, limit in policy.phase_timeouts_s)
    return min((limit for limit in (*limits, *phases) if limit is not None), default=60.0)
