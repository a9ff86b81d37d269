"""Makes a new daemon's first state from the history of the run."""

from dataclasses import replace

from supervisor.core.history import History
from supervisor.core.point_in_time import Moment
from supervisor.core.policy import Policy
from supervisor.core.replayed_description import description_of
from supervisor.core.states import State
from supervisor.core.vocabulary import RunState

_IDLE_AFTER = frozenset({RunState.STOPPED, RunState.HELD, RunState.STUCK, RunState.COMPLETED})


def initial_state(
    past: History,
    policy: Policy,
    *,
    now: float,
    wall: float,
    boot: str | None = None,
    alive: bool = False,
) -> State:
    """The state to begin from, at monotonic `now` of the boot `boot` and wall time `wall`.

    Failures keep their age (`Moment.age_s`). Within a boot, a wall clock that jumps refills no
    budget, and a clock that was set back never does. `alive`: an attempt is still running.
    """
    here = Moment(wall, now, boot)
    recent = tuple(now - failed.age_s(here) for failed in past.failed_at)
    account = past.account
    if past.accounted is not None and past.ended_state not in _IDLE_AFTER:
        unseen = past.accounted.age_s(here)
        if past.ended_state is None:  # An attempt may have trained, but no daemon counted.
            account = replace(account, unknown_s=account.unknown_s + unseen)
        else:
            account = replace(account, down_s=account.down_s + unseen)
    return State(
        policy=policy,
        attempt=past.attempt,
        budget=replace(past.budget, recent=recent),
        learned=past.learned,
        times=past.times,
        launched=past.launched,
        warm=past.warm,
        account=account,
        ever_attached=past.ever_attached,
        reopened=past.reopened,
        begin_again=past.begin_again,
        rollback=past.rollback,
        back_to=past.back_to,
        reached_step=past.reached_step,
        reached_trainings=past.reached_trainings,
        resume_doubt=past.resume_doubt,
        resume_is_trusted=past.resume_is_trusted,
        reached_before=past.reached_step,
        progress_before=past.progress_before,
        checkpoint=past.source,
        resumed_step=past.resumed_step,
        doubt=past.doubt,
        begun_at=past.begun_at,
        hung_at=past.hung_at,
        description=description_of(past.described),
        described_entries=past.described_entries,
        training_places=past.training_places,
        trainer_told=past.trainer_told,
        told_elsewhere=past.told_elsewhere,
        end_unseen=past.last_attempt_open and not alive,
        failure=past.failure,
        action=past.action,
        reason=past.reason,
        at=now,
    )
