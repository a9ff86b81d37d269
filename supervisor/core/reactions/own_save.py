"""A stop that a loop answers by training on to its own next save, and what signs of life bring.

The supervisor cannot have such a loop save. It waits for a newer checkpoint to be complete and
proven, and then has the loop end. Without one the loop ends shortly before the grace does. What was
saved is judged after that, from the checkpoints.
"""

from dataclasses import replace

from supervisor.core.effects import Record, Say, Terminate
from supervisor.core.entries.trainer import OwnSaveAwaitedEntry, SignsEntry
from supervisor.core.events import Surveyed
from supervisor.core.reactions.persist_snapshot import until_stopped
from supervisor.core.reactions.reaction import Reaction
from supervisor.core.rules.saved_by_stop import newest_after
from supervisor.core.sign_of_life import OwnSave, SignPhase, SignsSeen, StopAnswer
from supervisor.core.states import State, Stop
from supervisor.core.vocabulary import RunState, Tier

# Ten times less is no more than the floor of the limit: it need not outlive the daemon.
_RECORDED_S = 60.0
# A gap is recorded again when it has grown by this factor.
_GROWTH = 1.1


def on_signs_seen(state: State, event: SignsSeen, now: float) -> Reaction:
    """The signs of life were read: learn the longest gap, and how the loop answers a stop."""
    if event.attempt != state.attempt or not state.alive:
        return Reaction("noted", state)
    is_there = event.processes > 0
    # A loop that ended at a stop has said how it answers.
    signs = event if is_there or state.stop is not None else None
    learned = state.learned.with_signs(event.longest_gap_s, event.longest_phase_s)
    state = replace(state, learned=learned, activity=replace(state.activity, signs=signs))
    state, notes = _recorded(state)
    stop = state.stop
    is_asked = state.run is RunState.DRAINING and stop is not None and not stop.is_unsaveable
    if not is_asked or stop is None or not is_there or event.stop is not StopAnswer.WAITS:
        return Reaction("noted", state, notes)
    if stop.own_save is OwnSave.AWAITED and _comes_too_late(event, stop):
        return _end_without(state, OwnSave.NOT_DUE, "is not due within the grace")
    if stop.own_save is not None:
        return Reaction("noted", state, notes)
    state = until_stopped(replace(state, stop=replace(stop, own_save=OwnSave.AWAITED)))
    left_s = max(stop.until - now, 0.0)
    entry = OwnSaveAwaitedEntry(attempt=state.attempt, left_s=round(left_s, 1))
    line = (
        f"the trainer trains on to its own next save, which it expects within the grace"
        f" ({left_s:.0f} s left); it is ended once that save is complete and proven"
    )
    return Reaction("own save awaited", state, (*notes, Record(entry), Say(line)))


def _comes_too_late(event: SignsSeen, stop: Stop) -> bool:
    """Whether the loop had saved just before the stop, and decided before that was known.

    A save from after the stop may be the awaited one: the survey that proves it ends the loop. In
    the middle of a save nothing is known of the next one.
    """
    saves = event.saves
    if saves is None or event.phase is SignPhase.SAVE:
        return False
    return saves.written_at <= stop.since and saves.due_at > stop.until


def _recorded(state: State) -> tuple[State, tuple[Record, ...]]:
    """Record the longest gap and phase, if they have grown enough to matter."""
    learned = state.learned
    known = (learned.recorded_gap_s, learned.recorded_phase_s)
    now = (learned.sign_gap_s, learned.sign_phase_s)
    if not any(b >= _RECORDED_S and b > _GROWTH * a for a, b in zip(known, now, strict=True)):
        return state, ()
    entry = SignsEntry(
        attempt=state.attempt, longest_gap_s=round(now[0], 1), longest_phase_s=round(now[1], 1)
    )
    return replace(state, learned=learned.as_recorded()), (Record(entry),)


def end_after_save(state: State, event: Surveyed) -> Reaction | None:
    """Have a loop end that was awaited, if one of the surveyed checkpoints is its own save."""
    stop = state.stop
    if state.run is not RunState.DRAINING or not state.alive or stop is None:
        return None
    if stop.own_save is not OwnSave.AWAITED:
        return None
    durable = tuple(one for one in event.candidates if one.tier != Tier.MEMORY)
    # The file system's clock is measured only once nothing writes there any more. Until then it is
    # taken for the machine's: if it is not, the loop waits longer, or is ended a little early.
    newest = newest_after(stop, durable, event.clock_ahead_s or 0.0)
    if newest is None:
        return None
    state = replace(state, stop=replace(stop, own_save=OwnSave.MADE))
    what = newest.path.rpartition("/")[2] if newest.step is None else f"step {newest.step}"
    line = f"the trainer has made its own save ({what}), and is ended now"
    return Reaction("own save made", until_stopped(state), (Terminate(state.attempt), Say(line)))


def is_overdue(state: State, now: float) -> bool:
    """Whether an awaited save has not come, and the grace that is left is what the end takes."""
    stop = state.stop
    is_awaited = state.run is RunState.DRAINING and state.alive and stop is not None
    if not is_awaited or stop is None or stop.own_save is not OwnSave.AWAITED:
        return False
    return stop.gives_up_at <= now < stop.until


def give_up(state: State) -> Reaction:
    """End a loop whose own save was not seen to be complete. It may be, and not proven yet."""
    return _end_without(state, OwnSave.MISSED, "is not complete and proven, and the grace ends")


def _end_without(state: State, own_save: OwnSave, why: str) -> Reaction:
    assert state.stop is not None
    state = until_stopped(replace(state, stop=replace(state.stop, own_save=own_save)))
    line = f"the trainer's own next save {why}: it is ended now"
    return Reaction("no own save", state, (Terminate(state.attempt), Say(line)))
