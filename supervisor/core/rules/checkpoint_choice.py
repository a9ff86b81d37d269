"""Which of the valid checkpoints is resumed from, and which are too late then."""

from collections.abc import Sequence

from supervisor.core.launch_gate import GateStage
from supervisor.core.states import Checkpoint, State
from supervisor.core.vocabulary import RunState


def may_go_back(state: State) -> bool:
    """Whether the next launch may need a checkpoint beyond `checkpoints.keep`: none is pruned then.

    A launch is prepared, or the hook `before_launch` keeps it back: it runs, has refused, or has
    just let it pass.
    """
    has_refused = state.run is RunState.WAITING and state.gate.waited_s > 0.0
    is_behind_hook = has_refused or (
        state.run is RunState.LAUNCHING
        and not state.alive
        and state.gate.stage is not GateStage.CLOSED
    )
    return state.surveying or state.rollback or state.back_to is not None or is_behind_hook


def newest_but_left(candidates: Sequence[Checkpoint], back_to: int | None) -> Checkpoint:
    """The newest candidate that is not later than `back_to`; candidates come newest first.

    `back_to`: the step that an earlier daemon was going back to when it was killed, while it moved
    later checkpoints away. None: there was no such daemon.
    """
    if back_to is None:
        return candidates[0]
    kept = (one for one in candidates if one.step is None or one.step <= back_to)
    return next(kept, candidates[0])


def one_further_back(candidates: Sequence[Checkpoint], newest: Checkpoint) -> Checkpoint:
    """The newest candidate of another step, on the disk or in memory; `newest` if there is none."""
    return next((one for one in candidates if one.step != newest.step), newest)


def doubt(chosen: Checkpoint, state: State) -> str | None:
    """Why the checkpoint that is resumed from may be another run's; None where nothing says so."""
    if chosen.says_who or not chosen.own_run or chosen.step is None:
        return None
    if chosen.place is not None:
        return None  # an earlier stage may have more steps than the stage that was seen last
    if state.reached_step is None or state.end_unseen:
        return None  # how far the run has come is not known
    if chosen.step <= max(state.reached_step, state.resumed_step or 0):
        return None
    name = chosen.path.rpartition("/")[2]
    return (
        f"{name} (step {chosen.step}) is ahead of the highest step that this run has"
        f" shown ({state.reached_step}): did another run write this checkpoint?"
    )


def later_than(candidates: Sequence[Checkpoint], chosen: Checkpoint) -> tuple[str, ...]:
    """The paths of later candidates, which must be moved away before the run goes on."""
    if chosen.step is None:
        return ()
    return tuple(c.path for c in candidates if c.step is not None and c.step > chosen.step)
