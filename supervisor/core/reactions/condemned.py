"""The state of a run whose attempt is killed because it trains over the run's checkpoints."""

from dataclasses import replace

from supervisor.core.states import Kill, KillStage, State
from supervisor.core.vocabulary import Action, Failure


def condemned(state: State, why: str, wake_at: float) -> State:
    """SIGKILL is ordered, or was by a daemon before; the run is held once all of it is gone."""
    failure, action = Failure.RESUME_IGNORED, Action.HOLD
    kill = Kill(KillStage.KILL, failure, why, action)
    return replace(state, kill=kill, failure=failure, action=action, reason=why, wake_at=wake_at)
