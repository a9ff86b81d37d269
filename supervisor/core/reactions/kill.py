"""How the daemon ends an attempt: on record first, then stacks, SIGTERM, SIGKILL."""

from dataclasses import replace

from supervisor.core.effects import (
    Record,
    Rescue,
    Say,
    SendKill,
    SendStop,
    TakeStacks,
)
from supervisor.core.entries.attempt import HungEntry
from supervisor.core.events import StacksTaken
from supervisor.core.reactions.hold import hold_stuck
from supervisor.core.reactions.operator import KILL_ANSWER_S, TERM_S
from supervisor.core.reactions.persist_snapshot import is_memory_ahead
from supervisor.core.reactions.reaction import Reaction
from supervisor.core.rules.goodput import lost_to_hang
from supervisor.core.states import Kill, KillStage, State
from supervisor.core.vocabulary import Action, Failure, RunState

STACKS_S = 20.0


def end_hung(state: State, why: str, lost_s: float, now: float) -> Reaction:
    """End an attempt that hangs; `lost_s`: seconds booked as training in which it hung."""
    state = replace(
        state,
        account=lost_to_hang(state.account, lost_s),
        kill=Kill(KillStage.STACKS, Failure.HANG, why),
        failure=Failure.HANG,
        action=Action.RESTART,
        reason=why,
        wake_at=now + STACKS_S,
    )
    stacks = TakeStacks(
        state.attempt,
        Failure.HANG,
        why,
        "stacks taken; then SIGTERM, and SIGKILL if that is not enough within 15 s",
    )
    line = f"hang: {why}; taking stacks, then ending the attempt"
    # Persist before the kill: an attempt in a system call on a broken disk (state D) never ends.
    rescue = (Rescue("the attempt hangs"),) if is_memory_ahead(state) else ()
    record = _on_record(state, why, Failure.HANG)
    return Reaction("hung", state, (record, *rescue, stacks, Say(line)))


def end_lingering(state: State, why: str, now: float) -> Reaction:
    """End an attempt that has said how it ends, and has not ended. Its own word stands."""
    kill = Kill(KillStage.STACKS, None, why)
    state = replace(state, kill=kill, reason=why, wake_at=now + STACKS_S)
    stacks = TakeStacks(state.attempt, Failure.HANG, why, "stacks taken, then ended")
    line = Say(f"{why}: ending what is left of the attempt")
    return Reaction("lingering", state, (_on_record(state, why, None), stacks, line))


def end_deserted(state: State, why: str, now: float) -> Reaction:
    """End a main process whose ranks have died. Their deaths are judged, not how it ends."""
    kill = Kill(KillStage.TERM, None, why)
    state = replace(state, kill=kill, reason=why, wake_at=now + TERM_S)
    notes = (_on_record(state, why, None), Say(f"{why}: ending the attempt"))
    stop = SendStop(state.attempt, TERM_S, is_hang=True)
    return Reaction("ranks gone", state, (*notes, stop))


def _on_record(state: State, why: str, failure: Failure | None) -> Record:
    """Tells the next daemon that the SIGTERM is no stop that somebody asked for."""
    return Record(HungEntry(attempt=state.attempt, reason=why, failure=failure))


def on_stacks_taken(state: State, event: StacksTaken, now: float) -> Reaction:
    """The evidence is kept: now the attempt may be ended."""
    waits = state.kill is not None and state.kill.stage is KillStage.STACKS
    if state.run is not RunState.KILLING or event.attempt != state.attempt or not waits:
        return Reaction("noted", state)
    return _terminate(state, "terminate", now)


def _terminate(state: State, condition: str, now: float) -> Reaction:
    assert state.kill is not None
    kill = replace(state.kill, stage=KillStage.TERM)
    state = replace(state, kill=kill, wake_at=now + TERM_S)
    return Reaction(condition, state, (SendStop(state.attempt, TERM_S, is_hang=True),))


def next_stage(state: State, now: float) -> Reaction:
    """The stage's time is over and the attempt has not ended: go on to the next stage."""
    kill = state.kill or Kill(KillStage.KILL, None, "")
    match kill.stage:
        case KillStage.STACKS:
            return _terminate(state, "stacks took too long", now)
        case KillStage.TERM:
            kill = replace(kill, stage=KillStage.KILL)
            state = replace(state, kill=kill, wake_at=now + KILL_ANSWER_S)
            return Reaction("SIGTERM was not enough", state, (SendKill(state.attempt),))
        case KillStage.KILL:
            reason = (
                "the attempt was not seen to end after SIGKILL; nothing is launched while it may"
                " live"
            )
            return hold_stuck(state, "SIGKILL was not enough", reason)
