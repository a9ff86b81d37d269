"""How a stop begins, and what time it has: the grace, or what the scheduler leaves of it."""

from dataclasses import replace

from supervisor.core.effects import Effect, Record, Rescue, Say, SendKill, SendStop
from supervisor.core.entries.decision import StopRequestedEntry
from supervisor.core.events import JobSeen
from supervisor.core.reactions.persist_snapshot import (
    SLACK_S,
    after_stop,
    is_memory_ahead,
    until_stopped,
)
from supervisor.core.reactions.reaction import Reaction
from supervisor.core.states import State, Stop
from supervisor.core.vocabulary import RunState, StopSource


def begin_stop(
    state: State, by: StopSource, now: float, wall: float | None
) -> tuple[State, tuple[Effect, ...]]:
    """Ask the attempt to save and end. If a save would not fit the time left, end it."""
    state = until_stopped(with_stop(state, by, now, interrupt=by is StopSource.SIGINT, wall=wall))
    assert state.stop is not None
    left_s = max(state.stop.until - now, 0.0)
    save_s = None if state.job is None else state.job.save_s
    if state.stop.limit is not None and save_s is not None and save_s > left_s:
        return _begin_end(state, left_s, save_s)
    line = f"{by.shown}: the trainer is asked to save and end (up to {left_s:.0f} s)"
    effects = (
        SendStop(state.attempt, left_s),
        Record(stop_requested(state.stop)),
        Say(line),
    )
    return state, effects


def _begin_end(state: State, left_s: float, save_s: float) -> tuple[State, tuple[Effect, ...]]:
    """End an attempt whose save would not fit the time that the scheduler leaves.

    A snapshot in memory goes to the disk first, if that fits.
    """
    stop = state.stop
    assert stop is not None
    persist_s = 0.0 if state.memory is None else state.memory.persist_s
    is_rescued = is_memory_ahead(state) and persist_s + SLACK_S <= left_s
    stop = replace(stop, rescued=True, is_unsaveable=True)
    state = replace(state, stop=stop, wake_at=stop.until)
    what = (
        "the snapshot in memory goes to the disk" if is_rescued else "the attempt is ended unsaved"
    )
    line = (
        f"{stop.by.shown}: a save takes {save_s:.0f} s, but only {left_s:.0f} s are left."
        f" So no save is begun: {what}"
    )
    way: Effect = Rescue("no save fits any more") if is_rescued else SendKill(state.attempt)
    return state, (way, Record(stop_requested(stop)), Say(line))


def on_job_seen(state: State, event: JobSeen, now: float) -> Reaction:
    """How long the job has, read again: a preemption shortens it, and so the grace."""
    state = replace(state, job=event.job)
    stop, limit = state.stop, event.job.until
    orders: tuple[Effect, ...] = ()
    if stop is not None and limit is not None and (stop.limit is None or limit < stop.limit):
        state = replace(state, stop=replace(stop, limit=limit, until=min(stop.until, limit)))
        if state.run is RunState.DRAINING and state.alive and not stop.is_unsaveable:
            state = until_stopped(state)
            # No process is told twice by a repeat: the main process's turn comes earlier.
            orders = (SendStop(state.attempt, max(min(stop.until, limit) - now, 0.0)),)
    return Reaction("noted", state, orders)


def stop_requested(stop: Stop) -> StopRequestedEntry:
    """The ledger's entry of a stop. `asked_wall` tells when, since the entry is written later."""
    asked_wall = None if stop.wall is None else round(stop.wall, 3)
    return StopRequestedEntry(by=stop.by, asked_wall=asked_wall, late=stop.late)


def with_stop(
    state: State,
    by: StopSource,
    now: float,
    *,
    interrupt: bool = False,
    late: bool = False,
    wall: float | None = None,
) -> State:
    """The state with a stop asked for at `now`; checkpoints from here on count as saved by it."""
    written = state.newest.written if state.newest else state.budget.progress_written
    until = now + state.policy.grace_s
    limit = None if state.job is None else state.job.until
    if limit is not None:
        until = min(until, max(limit, now))
    before = _newest_step(state)
    stop = Stop(by, now, int(interrupt), before, written, late, until, limit=limit, wall=wall)
    return replace(state, stop=stop)


def judged_late(state: State, by: StopSource, now: float, *, wall: float | None = None) -> State:
    """The state with a stop that came after the attempt's end, which is not yet judged."""
    interrupt = by is StopSource.SIGINT
    state = with_stop(state, by, now, interrupt=interrupt, late=True, wall=wall)
    assert state.stop is not None
    return replace(state, wake_at=after_stop(state.stop, state.policy, now))


def _newest_step(state: State) -> int | None:
    return state.newest.step if state.newest else state.budget.progress_step
