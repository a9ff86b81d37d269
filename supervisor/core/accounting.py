"""Where the time goes, so that goodput can be given honestly at any time."""

from dataclasses import replace

from supervisor.core.phase import Phase
from supervisor.core.states import Account, RunState, State


def spend(state: State, now: float) -> State:
    """Book the time since the last event on what the run was doing in it."""
    elapsed = now - state.at
    if elapsed <= 0:
        return replace(state, at=max(state.at, now))
    field = bucket(state)
    account = state.account
    if field is not None:
        account = replace(account, **{field: getattr(account, field) + elapsed})
    return replace(state, account=account, at=now)


def bucket(state: State) -> str | None:
    """The `Account` field for time spent in this state; None for time nobody wanted used."""
    match state.run:
        case RunState.LAUNCHING:
            return "launching_s"
        case RunState.RUNNING:
            activity = state.activity
            if activity.phase is Phase.SAVE:
                return "saving_s"
            if not activity.first_step_seen and activity.attached:
                return "launching_s"
            if (
                state.reached_step is not None
                and activity.step is not None
                and activity.step <= state.reached_step
            ):
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


def lost_to_hang(account: Account, seconds: float) -> Account:
    """What a hang took was booked as training while it lasted; it was not."""
    moved = min(seconds, account.training_s)
    return replace(account, training_s=account.training_s - moved, down_s=account.down_s + moved)


def goodput(account: Account) -> float | None:
    """Productive seconds over all seconds, 0 to 1; None before anything was spent.

    Steps that were lost and made again count once, as in Google's definition (only preserved
    progress is productive): their second making is `replaying`.
    """
    total = total_s(account)
    return account.training_s / total if total > 0 else None


def total_s(account: Account) -> float:
    """All booked seconds."""
    return (
        account.launching_s
        + account.training_s
        + account.saving_s
        + account.replaying_s
        + account.waiting_s
        + account.down_s
    )
