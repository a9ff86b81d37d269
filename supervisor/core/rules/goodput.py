"""Where the time goes, so that goodput can be given honestly at any time."""

from dataclasses import replace

from supervisor.core.states import Account, Activity, State
from supervisor.core.vocabulary import Phase, RunState


def spend(state: State, now: float) -> State:
    """Book the time since the last event on what the run was doing in it."""
    elapsed = now - state.at
    if elapsed <= 0:
        return replace(state, at=max(state.at, now))
    field = bucket(state)
    account = state.account
    if field == "unknown_s":
        activity = state.activity
        state = replace(state, activity=replace(activity, unknown_s=activity.unknown_s + elapsed))
    if field is not None:
        account = replace(account, **{field: getattr(account, field) + elapsed})
    return replace(state, account=account, at=now)


def bucket(state: State) -> str | None:
    """The `Account` field for time spent in this state. None: a final state, which counts none."""
    match state.run:
        case RunState.LAUNCHING:
            return "launching_s"
        case RunState.RUNNING:
            activity = state.activity
            if activity.phase is Phase.SAVE:
                return "saving_s"
            if not activity.first_step_seen and activity.attached:
                return "launching_s"
            if activity.step is None and not activity.first_step_seen:
                return "unknown_s"
            reached = _reached(state)
            if reached is not None and activity.step is not None and activity.step <= reached:
                return "replaying_s"
            return "training_s"
        case RunState.DRAINING:
            return "saving_s" if state.activity.attached else "down_s"
        case RunState.KILLING:
            return "down_s"
        case RunState.BACKOFF | RunState.WAITING:
            return "waiting_s"
        case _:
            return None


def _reached(state: State) -> int | None:
    """The step up to which the training that runs now makes its steps again; None for no step."""
    training = None if state.description is None else state.description.training
    if training is None or not state.reached_trainings:
        return state.reached_step
    return dict(state.reached_trainings).get(training.identity)


def lost_to_hang(account: Account, seconds: float) -> Account:
    """The account after a hang: its seconds were booked as training while it lasted."""
    moved = min(seconds, account.training_s)
    return replace(account, training_s=account.training_s - moved, down_s=account.down_s + moved)


def with_first_step(account: Account, activity: Activity) -> Account:
    """The account once the log has shown a step: the time before it was the attempt's start."""
    moved = min(activity.unknown_s, account.unknown_s)
    return replace(
        account, unknown_s=account.unknown_s - moved, launching_s=account.launching_s + moved
    )


def goodput(account: Account) -> float | None:
    """Productive seconds over all that were counted, 0 to 1; None where no steps were seen.

    Steps that were lost and made again count once: the second time is `replaying`. Google defines
    it so, too: only preserved progress is productive.
    """
    counted = total_s(account) - account.unknown_s
    if account.training_s + account.replaying_s <= 0 or counted <= 0:
        return None
    return account.training_s / counted


def total_s(account: Account) -> float:
    """All booked seconds."""
    return (
        account.launching_s
        + account.training_s
        + account.saving_s
        + account.replaying_s
        + account.waiting_s
        + account.down_s
        + account.unknown_s
    )
