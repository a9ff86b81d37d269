"""The transition table: which event, under which condition, leads from where to where.

This is data. `step` refuses what is not written here, and docs/states.md is drawn from it.
"""

from dataclasses import dataclass

from supervisor.core.events import (
    BeginsAnew,
    Begun,
    Event,
    Exited,
    GoesOn,
    IntentChanged,
    JobSeen,
    Looked,
    MemorySeen,
    Observed,
    ParkedSeen,
    Probed,
    Rescued,
    StacksTaken,
    Started,
    StartFailed,
    StopAsked,
    Surveyed,
    SurveyFailed,
    Suspended,
    Tick,
    Unkillable,
)
from supervisor.core.left_behind_events import LeftSeen, MainEnded
from supervisor.core.vocabulary import RunState

L, R, D, K = RunState.LAUNCHING, RunState.RUNNING, RunState.DRAINING, RunState.KILLING
B, W, H, S = RunState.BACKOFF, RunState.WAITING, RunState.HELD, RunState.STUCK


@dataclass(frozen=True, slots=True)
class Transition:
    """One row; `source` None stands for every state that is not final."""

    source: RunState | None
    event: type[Event]
    condition: str
    target: RunState | None
    """None: the state stays."""
    why: str


TRANSITIONS: tuple[Transition, ...] = (
    # A daemon begins, for the first time or after its predecessor died.
    Transition(L, Begun, "nothing runs", L, "read the checkpoints first"),
    Transition(L, Begun, "attempt alive", R, "the launcher kept it; training did not notice"),
    Transition(L, Begun, "attempt stopping", D, "a stop was under way"),
    Transition(L, Begun, "attempt being killed", K, "a kill was under way"),
    Transition(L, Begun, "in backoff", B, "a pause is not cut short by a new daemon"),
    Transition(L, Begun, "waiting", W, "nor is a wait for what clears by itself"),
    Transition(L, Begun, "finished before", RunState.COMPLETED, "never launched again"),
    Transition(L, Begun, "held before", H, "until `supervisor resume`"),
    Transition(L, Begun, "hold intended", H, "the intent beats all automation"),
    Transition(L, Begun, "stop intended", RunState.STOPPED, "the intent beats all automation"),
    # What to do, once nothing runs and the checkpoints are known.
    Transition(L, Surveyed, "launch", L, "from the newest valid checkpoint"),
    Transition(L, Surveyed, "backoff", B, "a failure without durable progress"),
    Transition(L, Surveyed, "wait", W, "the cause clears by itself"),
    Transition(L, Surveyed, "hold", H, "a human has to look"),
    Transition(L, Surveyed, "finished", RunState.COMPLETED, "the trainer says so"),
    Transition(D, Surveyed, "preempted", RunState.PREEMPTED, "checkpoints decide what was saved"),
    Transition(D, Surveyed, "stopped", RunState.STOPPED, "checkpoints decide what was saved"),
    Transition(D, Surveyed, "launch", L, "the stop was taken back meanwhile"),
    Transition(D, Surveyed, "wait", W, "the stop was taken back; the cause clears by itself"),
    Transition(D, Surveyed, "hold", H, "the stop was taken back, and a human has to look"),
    Transition(D, Surveyed, "finished", RunState.COMPLETED, "the stop was taken back: it is done"),
    # The memory tier: what only it holds goes to the disk before the supervisor ends.
    Transition(L, Surveyed, "rescue first", L, "an end, and memory is ahead of the disk"),
    Transition(D, Surveyed, "rescue first", D, "an end, and memory is ahead of the disk"),
    Transition(L, Rescued, "look again", L, "survey, then decide"),
    Transition(D, Rescued, "look again", D, "survey, then say what was saved"),
    Transition(L, Tick, "rescue took too long", L, "survey, then decide"),
    Transition(D, Tick, "rescue took too long", D, "survey, then say what was saved"),
    Transition(D, Tick, "rescue now", D, "what is left of the grace is what persisting takes"),
    Transition(B, StopAsked, "rescue first", D, "memory is ahead of the disk"),
    Transition(W, StopAsked, "rescue first", D, "memory is ahead of the disk"),
    Transition(B, IntentChanged, "stop, rescue first", D, "memory is ahead of the disk"),
    Transition(W, IntentChanged, "stop, rescue first", D, "memory is ahead of the disk"),
    Transition(B, IntentChanged, "hold, rescue first", L, "memory is ahead of the disk"),
    Transition(W, IntentChanged, "hold, rescue first", L, "memory is ahead of the disk"),
    Transition(None, Rescued, "noted", None, "the next survey finds what came of it"),
    Transition(None, MemorySeen, "noted", None, "another snapshot, or it is on the disk now"),
    Transition(None, ParkedSeen, "noted", None, "the next launch can be warm, or not"),
    Transition(None, Surveyed, "news", None, "a checkpoint appeared while the attempt runs"),
    Transition(L, SurveyFailed, "unreadable", W, "the file system has to come back"),
    Transition(D, SurveyFailed, "unreadable", RunState.PREEMPTED, "nothing is known to be saved"),
    Transition(None, SurveyFailed, "news", None, "looked at again later"),
    # The attempt.
    Transition(L, Started, "started", R, ""),
    Transition(None, Started, "noted", None, "a stop came in between"),
    Transition(L, StartFailed, "cannot start", H, "the command is wrong"),
    Transition(L, StartFailed, "no resources", B, "processes or memory are short"),
    Transition(L, StartFailed, "budget spent", H, ""),
    Transition(D, StartFailed, "preempted", RunState.PREEMPTED, "nothing was started"),
    Transition(D, StartFailed, "stopped", RunState.STOPPED, "nothing was started"),
    Transition(K, StartFailed, "preempted", RunState.PREEMPTED, "nothing was started"),
    Transition(K, StartFailed, "stopped", RunState.STOPPED, "nothing was started"),
    Transition(None, StartFailed, "noted", None, "it has started: late news"),
    Transition(L, Exited, "ended", L, "survey, then decide"),
    Transition(R, Exited, "ended", L, "survey, then decide"),
    Transition(K, Exited, "ended", L, "survey, then decide"),
    Transition(D, Exited, "ended as asked", D, "survey, then say what was saved"),
    Transition(K, Exited, "ended as asked", D, "survey, then say what was saved"),
    Transition(None, MainEnded, "noted", None, "a stop or a kill has the rest of it"),
    Transition(None, MainEnded, "over", None, "training is over: what is left is ended"),
    Transition(None, MainEnded, "left behind", None, "up to 60 s for a sign that it trains"),
    Transition(None, LeftSeen, "noted", None, ""),
    Transition(R, LeftSeen, "trains", R, "it is the attempt: watched, and stopped as any"),
    Transition(R, LeftSeen, "over", R, "no sign of training: what is left is ended"),
    Transition(R, LeftSeen, "hung", K, "it trained, and gives no sign any more"),
    Transition(L, Unkillable, "survives SIGKILL", S, "never launched over"),
    Transition(R, Unkillable, "survives SIGKILL", S, "never launched over"),
    Transition(D, Unkillable, "survives SIGKILL", S, "never launched over"),
    Transition(K, Unkillable, "survives SIGKILL", S, "never launched over"),
    # Watching.
    Transition(R, Observed, "healthy", R, ""),
    Transition(R, Observed, "silent", R, "stacks and a notice, once"),
    Transition(R, Observed, "overdue", R, "past its deadline: looked at, or its ranks are gone"),
    Transition(R, Observed, "hung", K, "no step for ten deadlines, and nobody could look"),
    Transition(R, Observed, "lingering", K, "the same of one that has said how it ends"),
    Transition(R, Observed, "ranks gone", K, "they died, and the main process does nothing"),
    Transition(None, Observed, "noted", None, ""),
    Transition(R, Looked, "hung", K, "stacks, SIGTERM, 15 s, SIGKILL"),
    Transition(R, Looked, "lingering", K, "it has said how it ends, and does not end"),
    Transition(R, Looked, "silent", R, "stacks and a notice, once"),
    Transition(R, Looked, "at work", R, "something moves: told once, looked at again"),
    Transition(None, Looked, "noted", None, "it has given a sign of life meanwhile"),
    Transition(R, BeginsAnew, "ends it", K, "SIGKILL: it would save at a SIGTERM"),
    Transition(R, BeginsAnew, "doubted", R, "a warning, and nothing is pruned"),
    Transition(None, BeginsAnew, "noted", None, ""),
    Transition(None, GoesOn, "noted", None, "a doubt is over"),
    Transition(K, StacksTaken, "terminate", K, "now SIGTERM"),
    Transition(None, StacksTaken, "noted", None, ""),
    Transition(None, Suspended, "excused", None, "ages seen so far prove nothing"),
    # The operator and the scheduler.
    Transition(L, StopAsked, "attempt alive", D, "SIGTERM, grace"),
    Transition(R, StopAsked, "attempt alive", D, "SIGTERM, grace"),
    Transition(L, StopAsked, "nothing runs", RunState.PREEMPTED, ""),
    Transition(L, StopAsked, "being judged", D, "an end that came before the stop is told first"),
    Transition(B, StopAsked, "nothing runs", RunState.PREEMPTED, ""),
    Transition(W, StopAsked, "nothing runs", RunState.PREEMPTED, ""),
    Transition(D, StopAsked, "again", D, "a repeated signal changes nothing"),
    Transition(D, StopAsked, "third interrupt", K, "the user insists"),
    Transition(D, StopAsked, "third interrupt, ended", RunState.PREEMPTED, "nothing runs any more"),
    Transition(K, StopAsked, "noted", K, "do not relaunch"),
    Transition(L, IntentChanged, "stop, attempt alive", D, "SIGTERM, grace"),
    Transition(R, IntentChanged, "stop, attempt alive", D, "SIGTERM, grace"),
    Transition(L, IntentChanged, "stop, nothing runs", RunState.STOPPED, ""),
    Transition(L, IntentChanged, "stop, being judged", D, "an end that came before is told first"),
    Transition(B, IntentChanged, "stop, nothing runs", RunState.STOPPED, ""),
    Transition(W, IntentChanged, "stop, nothing runs", RunState.STOPPED, ""),
    Transition(L, IntentChanged, "hold, nothing runs", H, ""),
    Transition(B, IntentChanged, "hold, nothing runs", H, ""),
    Transition(W, IntentChanged, "hold, nothing runs", H, ""),
    Transition(B, IntentChanged, "go on now", L, "`supervisor resume` ends the wait"),
    Transition(W, IntentChanged, "go on now", L, "`supervisor resume` ends the wait"),
    Transition(None, IntentChanged, "noted", None, "obeyed when the attempt ends"),
    # The scheduler's job.
    Transition(None, JobSeen, "noted", None, "how long it has, and why it ends"),
    Transition(D, Rescued, "saved instead", D, "a save would not have fitted: SIGKILL"),
    # Time.
    Transition(B, Tick, "time is up", L, "survey, then launch"),
    Transition(W, Tick, "time is up", W, "look again"),
    Transition(W, Probed, "clear", L, "the cause is gone"),
    Transition(W, Probed, "not yet", W, "look again later"),
    Transition(D, Tick, "grace is over", K, "SIGKILL"),
    Transition(D, Tick, "unread in time", RunState.PREEMPTED, "the file system does not answer"),
    Transition(K, Tick, "stacks took too long", K, "SIGTERM without them"),
    Transition(K, Tick, "SIGTERM was not enough", K, "SIGKILL"),
    Transition(K, Tick, "SIGKILL was not enough", S, "never launched over"),
    Transition(None, Tick, "early", None, ""),
    Transition(None, Probed, "noted", None, ""),
)

_INDEX: dict[tuple[RunState | None, type[Event], str], Transition] = {
    (row.source, row.event, row.condition): row for row in TRANSITIONS
}
assert len(_INDEX) == len(TRANSITIONS), "a row stands twice"


class IllegalTransition(Exception):  # noqa: N818 — h11's and this field's word for it
    """The table has no such row: a bug in a reaction; nothing happened."""


def target(source: RunState, event: Event, condition: str) -> RunState:
    """Where the event leads. Raises IllegalTransition."""
    row = _INDEX.get((source, type(event), condition)) or _INDEX.get((None, type(event), condition))
    if row is None:
        raise IllegalTransition(f"{source} × {type(event).__name__} × {condition!r}")
    return row.target if row.target is not None else source
