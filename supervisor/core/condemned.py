"""The state of a run whose attempt is killed because it trains over the run's checkpoints."""

from dataclasses import replace

from supervisor.core.causes import IGNORED
from supervisor.core.states import Kill, KillStage, State


def condemned(state: State, why: str, wake_at: float) -> State:
    """SIGKILL is ordered, or was by a daemon before; the run is held once all of it is gone."""
    kill = Kill(KillStage.KILL, IGNORED, why, action="hold")
    return replace(state, kill=kill, failure=IGNORED, action="hold", reason=why, wake_at=wake_at)
