"""How often the daemon looks at a run: twice a second, once a second while training is calm."""

from supervisor.core.states import State
from supervisor.core.vocabulary import RunState

POLL_S = 0.5
CALM_POLL_S = 1.0
# By then an attempt has shown its first step, whether it resumed, and where it saves.
CALM_AFTER_S = 20.0
# A later look may delay a deadline by this part of it at most.
_PART = 1 / 30


def pause_s(state: State, now: float) -> float:
    """Seconds until the next look; `now` is monotonic.

    Only polls are paced. A process's end, a message on a socket or a new checkpoint wakes the loop
    at once.
    """
    activity = state.activity
    is_calm = (
        state.run is RunState.RUNNING
        and (activity.first_step_seen or activity.signs is not None)
        and now - activity.started_at >= CALM_AFTER_S
        and activity.looks.overdue is None
        and _shortest_limit_s(state) * _PART >= CALM_POLL_S
    )
    return CALM_POLL_S if is_calm else POLL_S


def _shortest_limit_s(state: State) -> float:
    """The shortest silence that the configuration allows; learned limits are a minute at least."""
    policy = state.policy
    limits = (policy.heartbeat_timeout_s, policy.startup_timeout_s, policy.log_silence_s)
    phases = (limit for _, limit in policy.phase_timeouts_s)
    return min((limit for limit in (*limits, *phases) if limit is not None), default=60.0)
