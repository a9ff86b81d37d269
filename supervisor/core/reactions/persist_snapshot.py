"""Reactions around the memory tier: when a snapshot must go to the disk, and who waits for it."""

from dataclasses import replace

from supervisor.core.effects import Rescue, Say, SendKill, SetAside, SurveyCheckpoints
from supervisor.core.events import MemorySeen, Rescued
from supervisor.core.policy import Policy
from supervisor.core.reactions.reaction import Reaction
from supervisor.core.rules.decision import Decision, Verdict
from supervisor.core.sign_of_life import OwnSave
from supervisor.core.snapshot_facts import RescueWait
from supervisor.core.states import Checkpoint, State, Stop
from supervisor.core.vocabulary import Action, Failure, RunState, Tier

# The disk may be busier than when it was measured, and the checkpoint has to be renamed, too.
MARGIN = 1.5
SLACK_S = 2.0
# Longer than any working disk takes. The daemon waits so long for a persister that does not answer.
PATIENCE_S = 600.0
PATIENCE_MULTIPLE = 4.0
# A stop does not wait for ever for a disk that does not answer.
AFTER_STOP_S = 60.0
# Given even where the scheduler leaves no time: checkpoints that are read quickly are read.
LEAST_S = 2.0

_ENDS = frozenset({Verdict.HOLD, Verdict.FINISHED, Verdict.PREEMPTED, Verdict.STOPPED})


def ahead_of_disk(
    candidates: tuple[Checkpoint, ...], without: tuple[str, ...] = ()
) -> Checkpoint | None:
    """The newest candidate in memory, if it is ahead of all on the disk; else None."""
    gone = frozenset(without)
    left = [c for c in candidates if c.step is not None and c.path not in gone]
    durable = max(
        (c.step for c in left if c.tier != Tier.MEMORY and c.step is not None), default=-1
    )
    found = (c for c in left if c.tier == Tier.MEMORY and c.step is not None and c.step > durable)
    return max(found, key=lambda c: c.step or 0, default=None)


def newest_durable(
    candidates: tuple[Checkpoint, ...], without: tuple[str, ...] = ()
) -> Checkpoint | None:
    """The newest candidate on the disk."""
    gone = frozenset(without)
    return next((c for c in candidates if c.tier != Tier.MEMORY and c.path not in gone), None)


def is_memory_ahead(state: State) -> bool:
    """Whether the newest snapshot, as last seen, is not on the disk yet."""
    memory, newest = state.memory, state.newest
    if memory is None or memory.is_durable:
        return False
    return newest is None or newest.step is None or memory.step > newest.step


def until_stopped(state: State) -> State:
    """Wake up at a stop's next moment: the rescue, as late as is safe, or the end of the grace."""
    stop = state.stop
    if stop is None or not state.alive:
        return state
    due = stop.gives_up_at if stop.own_save is OwnSave.AWAITED else stop.until
    if is_memory_ahead(state) and not stop.rescued:
        assert state.memory is not None
        due = min(due, stop.until - MARGIN * state.memory.persist_s - SLACK_S)
    return replace(state, wake_at=due)


def after_stop(stop: Stop, policy: Policy, now: float) -> float:
    """Until when a stopped attempt's checkpoints may be read or written, monotonic seconds."""
    until = max(stop.since + policy.grace_s, now + AFTER_STOP_S)
    return until if stop.limit is None else min(until, max(stop.limit, now + LEAST_S))


def on_memory_seen(state: State, event: MemorySeen) -> Reaction:
    """Another snapshot is the newest, or the newest is on the disk now."""
    state = replace(state, memory=event.memory)
    if state.run is RunState.DRAINING:
        state = until_stopped(state)
    return Reaction("noted", state)


def rescue_now(state: State) -> Reaction:
    """Order the snapshot onto the disk: the grace that is left is just what persisting takes."""
    assert state.stop is not None
    if not is_memory_ahead(state):
        return Reaction("early", until_stopped(state))
    state = until_stopped(replace(state, stop=replace(state.stop, rescued=True)))
    line = "the grace is nearly over: the newest snapshot in memory goes to the disk as it is"
    return Reaction("rescue now", state, (Rescue("the grace is nearly over"), Say(line)))


def waits_first(state: State, decision: Decision, ahead: Checkpoint | None) -> bool:
    """Whether a decision must wait for the persister: it ends the supervisor, and none waited."""
    return decision.verdict in _ENDS and ahead is not None and state.rescue is None


def wait_for_rescue(
    state: State, ahead: Checkpoint, invalid: tuple[tuple[str, str], ...], now: float
) -> Reaction:
    """Have a snapshot persisted before the supervisor ends; the decision is made again after.

    `invalid` checkpoints are set aside before. One of the snapshot's step would be taken for the
    snapshot itself, as if that were on the disk already.
    """
    if state.stop is not None:
        limit_s = after_stop(state.stop, state.policy, now) - now
    else:
        takes_s = 0.0 if state.memory is None else state.memory.persist_s
        limit_s = max(PATIENCE_S, PATIENCE_MULTIPLE * takes_s)
    state = replace(state, surveying=False, rescue=RescueWait(limit_s), wake_at=now + limit_s)
    line = f"the snapshot of step {ahead.step} is put onto the disk first"
    aside = (SetAside(invalid, (), None),) if invalid else ()
    return Reaction("rescue first", state, (*aside, Rescue("the supervisor ends"), Say(line)))


def is_waiting(state: State) -> bool:
    """Whether an end waits for the persister right now."""
    return state.rescue is not None and not state.rescue.is_over


def on_rescued(state: State, event: Rescued, now: float) -> Reaction:
    """The persister has answered: where an end waits for it, look at the checkpoints again."""
    if not is_waiting(state):
        if (
            state.run is RunState.DRAINING
            and state.alive
            and state.stop
            and state.stop.is_unsaveable
        ):
            return Reaction("saved instead", state, (SendKill(state.attempt),))
        return Reaction("noted", state)
    error = None if event.is_durable else event.error or "there was nothing to persist"
    return _look_again(state, "look again", error, now)


def give_up_waiting(state: State, now: float) -> Reaction:
    """The persister has not answered in time."""
    assert state.rescue is not None
    error = f"not done within {state.rescue.limit_s:.0f} s"
    return _look_again(state, "rescue took too long", error, now)


def _look_again(state: State, condition: str, error: str | None, now: float) -> Reaction:
    assert state.rescue is not None
    rescue = replace(state.rescue, is_over=True, error=error)
    wake_at = None if state.stop is None else after_stop(state.stop, state.policy, now)
    state = replace(state, rescue=rescue, surveying=True, wake_at=wake_at)
    return Reaction(condition, state, (SurveyCheckpoints(),))


def with_loss(state: State, decision: Decision, ahead: Checkpoint | None) -> Decision:
    """The decision, with a snapshot named that could not be put onto the disk.

    A finish without that snapshot becomes a hold.
    """
    if decision.verdict not in _ENDS or ahead is None or state.rescue is None:
        return decision
    why = state.rescue.error or "no checkpoint was made"
    folder = ahead.path.rsplit("/", 2)[0]
    reason = (
        f"{decision.reason}; the snapshot of step {ahead.step} could not be put onto the disk"
        f" ({why}) and stays in memory ({folder}) until this machine is restarted"
    )
    if decision.verdict is not Verdict.FINISHED:
        return replace(decision, reason=reason)
    held = replace(decision, verdict=Verdict.HOLD, failure=Failure.FILESYSTEM)
    return replace(held, action=Action.HOLD, reason=reason)
