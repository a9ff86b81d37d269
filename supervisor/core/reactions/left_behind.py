"""Reactions to processes that a main process leaves behind with exit code 0: they may train.

A script may end with `nohup python train.py &`: the script is over, and the training is not. Other
processes (a logger's service, TensorBoard, an agent) do not train, and are ended as always.
"""

from dataclasses import replace

from supervisor.core.effects import KeepLeft, Record, Say
from supervisor.core.entries.attempt import LeftTrainingEntry
from supervisor.core.left_behind_events import LeftSeen, MainEnded
from supervisor.core.reactions.kill import end_hung
from supervisor.core.reactions.reaction import Reaction
from supervisor.core.rules.deadlines import STEP_MULTIPLE, UNKNOWN_STEP_S
from supervisor.core.rules.patience import LONGEST_MULTIPLE
from supervisor.core.states import Left, State
from supervisor.core.vocabulary import RunState

# The time given for the first sign of training, from the main process's end on.
TRIAL_S = 60.0
# A daemon that follows another has seen nothing yet: it looks at least so long itself.
TRIAL_AT_LEAST_S = 30.0
# How long the launcher waits for the next order: a daemon may die, and its successor needs time.
KEPT_ON_TRIAL_S = 150.0
KEPT_S = 3600.0
RENEWED_S = 60.0
_NAMES_MAX = 4


def on_main_ended(state: State, event: MainEnded, now: float) -> Reaction:
    """Wait for a sign that the processes left behind train, or end them if training is over.

    A stop or a kill that is under way ends them in any case.
    """
    if state.stop is not None or state.kill is not None:
        return Reaction("noted", state)
    if event.is_settled:
        told = (_ended(event.names),) if event.names else ()
        return Reaction("over", state, (KeepLeft(state.attempt, 0.0), *told))
    since = max(event.at, now - TRIAL_S + TRIAL_AT_LEAST_S)
    left = Left(since=since, sign_at=now, kept_at=now, trains=event.trained)
    keep = KeepLeft(state.attempt, KEPT_S if left.trains else KEPT_ON_TRIAL_S)
    return Reaction("left behind", replace(state, left=left), (keep,))


def on_left_seen(state: State, event: LeftSeen, now: float) -> Reaction:
    """Training goes on as long as its signs come in time. Without one in 60 s there was none."""
    left = state.left
    if left is None or state.run is not RunState.RUNNING:
        return Reaction("noted", state)
    if event.sign is not None:
        return _trains(state, left, event, now)
    if not left.trains:
        if event.is_idle:
            over = KeepLeft(state.attempt, 0.0), _ended(event.names)
            return Reaction("over", replace(state, left=None), over)
        if now - left.since < TRIAL_S:
            return _kept(state, left, now)
        line = f"no sign of training for {TRIAL_S:.0f} s after the main process had exited with 0:"
        line += f" ended the processes that it left behind: {_list(event.names)}"
        over = KeepLeft(state.attempt, 0.0), Say(line)
        return Reaction("over", replace(state, left=None), over)
    silent_s, limit_s = now - left.sign_at, _limit_s(left)
    # Counters that move without a sign are an evaluation's, for LONGEST_MULTIPLE times the limit.
    if silent_s < limit_s or not (event.stood_still or silent_s >= LONGEST_MULTIPLE * limit_s):
        return _kept(state, left, now)
    why = f"the processes that were left training have shown no step for {silent_s:.0f} s"
    if event.stood_still:
        why += ", and their CPU, GPU and I/O counters stood still"
    return end_hung(state, why, silent_s, now)


def excused(left: Left | None, gap_s: float) -> Left | None:
    """`left` with `gap_s` more time: no daemon looked meanwhile, and a sign may be missed."""
    if left is None:
        return None
    return replace(left, since=left.since + gap_s, sign_at=left.sign_at + gap_s)


def _trains(state: State, left: Left, event: LeftSeen, now: float) -> Reaction:
    gap_s = now - left.sign_at if left.trains else 0.0
    seen = replace(left, trains=True, sign_at=now, longest_gap_s=max(gap_s, left.longest_gap_s))
    if left.trains:
        return _kept(state, seen, now)
    line = (
        f"the main process has exited with 0, and {_list(event.names)} trains on ({event.sign}):"
        " from now on that is the attempt"
    )
    note = Record(LeftTrainingEntry(attempt=state.attempt, sign=event.sign))
    state = replace(state, left=replace(seen, kept_at=now))
    return Reaction("trains", state, (KeepLeft(state.attempt, KEPT_S), note, Say(line)))


def _kept(state: State, left: Left, now: float) -> Reaction:
    """Renew the order to the launcher in time."""
    if now - left.kept_at < RENEWED_S:
        return Reaction("trains" if left.trains else "noted", replace(state, left=left))
    state = replace(state, left=replace(left, kept_at=now))
    keep = KeepLeft(state.attempt, KEPT_S if left.trains else KEPT_ON_TRIAL_S)
    return Reaction("trains" if left.trains else "noted", state, (keep,))


def _ended(names: tuple[str, ...]) -> Say:
    return Say(f"ended the processes that the main process left behind: {_list(names)}")


def _limit_s(left: Left) -> float:
    """Signs are fewer than steps, and an evaluation gives none: never less than half an hour."""
    return max(UNKNOWN_STEP_S, STEP_MULTIPLE * left.longest_gap_s)


def _list(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:_NAMES_MAX]) or "something"
    more = len(names) - _NAMES_MAX
    return f"{shown} and {more} more" if more > 0 else shown
