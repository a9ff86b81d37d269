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
from supervisor.core.launch_gate import LaunchHookEnded
from supervisor.core.left_behind_events import LeftSeen, MainEnded
from supervisor.core.sign_of_life import SignsSeen
from supervisor.core.trainer_description import Described
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
    Transition(L, Begun, "nothing runs", L, "the checkpoints are read first"),
    Transition(L, Begun, "attempt alive", R, "the launcher kept it; training did not notice"),
    Transition(L, Begun, "attempt stopping", D, "a stop was under way"),
    Transition(L, Begun, "attempt being killed", K, "a kill was under way"),
    Transition(L, Begun, "in backoff", B, "a new daemon does not cut a pause short"),
    Transition(L, Begun, "waiting", W, "a new daemon does not cut a wait short"),
    Transition(L, Begun, "finished before", RunState.COMPLETED, "a finished run is not launched"),
    Transition(L, Begun, "held before", H, "held until `supervisor resume`"),
    Transition(L, Begun, "hold intended", H, "`supervisor hold` outranks all else"),
    Transition(L, Begun, "stop intended", RunState.STOPPED, "`supervisor stop` outranks all else"),
    # What to do, once nothing runs and the checkpoints are known.
    Transition(L, Surveyed, "launch", L, "an attempt goes on from the newest valid checkpoint"),
    Transition(L, Surveyed, "backoff", B, "a failure without durable progress"),
    Transition(L, Surveyed, "wait", W, "the cause clears by itself"),
    Transition(L, Surveyed, "hold", H, "a human has to look"),
    Transition(L, Surveyed, "finished", RunState.COMPLETED, "training is finished"),
    Transition(D, Surveyed, "preempted", RunState.PREEMPTED, "the checkpoints tell what was saved"),
    Transition(D, Surveyed, "stopped", RunState.STOPPED, "the checkpoints tell what was saved"),
    Transition(D, Surveyed, "launch", L, "the stop was taken back meanwhile"),
    Transition(D, Surveyed, "wait", W, "no stop any more; the cause clears by itself"),
    Transition(D, Surveyed, "hold", H, "the stop was taken back, and a human has to look"),
    Transition(D, Surveyed, "finished", RunState.COMPLETED, "no stop any more; training is over"),
    # The hook `before_launch` is asked once a launch is due, and may refuse it.
    Transition(L, Surveyed, "ask first", L, "the hook before_launch is asked"),
    Transition(D, Surveyed, "ask first", L, "no stop any more; the hook before_launch is asked"),
    Transition(L, LaunchHookEnded, "passed", L, "read the checkpoints again, then launch"),
    Transition(L, LaunchHookEnded, "refused", W, "the hook is asked again after a pause"),
    Transition(None, LaunchHookEnded, "noted", None, "no launch waits for the hook any more"),
    Transition(W, Tick, "ask again", L, "read the checkpoints, then ask the hook again"),
    # The memory tier: what only it holds goes to the disk before the supervisor ends.
    Transition(L, Surveyed, "rescue first", L, "the snapshot goes to the disk first"),
    Transition(D, Surveyed, "rescue first", D, "the snapshot goes to the disk first"),
    Transition(L, Rescued, "look again", L, "read the checkpoints, then decide"),
    Transition(D, Rescued, "look again", D, "read the checkpoints, then report what was saved"),
    Transition(L, Tick, "rescue took too long", L, "read the checkpoints, then decide"),
    Transition(D, Tick, "rescue took too long", D, "read the checkpoints, then report"),
    Transition(D, Tick, "rescue now", D, "the grace left is just what persisting takes"),
    Transition(L, StopAsked, "rescue first", D, "the snapshot goes to the disk first"),
    Transition(B, StopAsked, "rescue first", D, "the snapshot goes to the disk first"),
    Transition(W, StopAsked, "rescue first", D, "the snapshot goes to the disk first"),
    Transition(L, IntentChanged, "stop, rescue first", D, "the snapshot goes to the disk first"),
    Transition(B, IntentChanged, "stop, rescue first", D, "the snapshot goes to the disk first"),
    Transition(W, IntentChanged, "stop, rescue first", D, "the snapshot goes to the disk first"),
    Transition(L, IntentChanged, "hold, rescue first", L, "the snapshot goes to the disk first"),
    Transition(B, IntentChanged, "hold, rescue first", L, "the snapshot goes to the disk first"),
    Transition(W, IntentChanged, "hold, rescue first", L, "the snapshot goes to the disk first"),
    Transition(None, Rescued, "noted", None, "no end waits for it: the next survey looks"),
    Transition(None, MemorySeen, "noted", None, "a newer snapshot, or the newest reached the disk"),
    Transition(None, ParkedSeen, "noted", None, "whether the next launch can be warm"),
    Transition(None, Surveyed, "news", None, "a checkpoint appeared while the attempt runs"),
    Transition(L, SurveyFailed, "unreadable", W, "the run waits until the checkpoints can be read"),
    Transition(D, SurveyFailed, "unreadable", RunState.PREEMPTED, "what was saved is not known"),
    Transition(None, SurveyFailed, "news", None, "no decision waits for this survey"),
    # The attempt.
    Transition(L, Started, "started", R, "the main process runs"),
    Transition(None, Started, "noted", None, "a stop came between the launch and this report"),
    Transition(L, StartFailed, "cannot start", H, "the command is wrong"),
    Transition(L, StartFailed, "no resources", B, "processes or memory are short"),
    Transition(L, StartFailed, "budget spent", H, "a budget for failures is spent"),
    Transition(D, StartFailed, "preempted", RunState.PREEMPTED, "nothing was started"),
    Transition(D, StartFailed, "stopped", RunState.STOPPED, "nothing was started"),
    Transition(K, StartFailed, "preempted", RunState.PREEMPTED, "nothing was started"),
    Transition(K, StartFailed, "stopped", RunState.STOPPED, "nothing was started"),
    Transition(None, StartFailed, "noted", None, "the attempt has started: the report is late"),
    Transition(L, Exited, "ended", L, "read the checkpoints, then decide"),
    Transition(R, Exited, "ended", L, "read the checkpoints, then decide"),
    Transition(K, Exited, "ended", L, "read the checkpoints, then decide"),
    Transition(D, Exited, "ended as asked", D, "read the checkpoints, then report what was saved"),
    Transition(K, Exited, "ended as asked", D, "read the checkpoints, then report what was saved"),
    Transition(None, MainEnded, "noted", None, "a stop or kill ends the processes left behind"),
    Transition(None, MainEnded, "over", None, "training is over: the processes left are ended"),
    Transition(None, MainEnded, "left behind", None, "60 s for a first sign of training"),
    Transition(None, LeftSeen, "noted", None, "no sign of training yet, or no process is on trial"),
    Transition(R, LeftSeen, "trains", R, "a process left behind trains: it is the attempt"),
    Transition(R, LeftSeen, "over", R, "no sign of training: the processes are ended"),
    Transition(R, LeftSeen, "hung", K, "the process left behind gives no sign any more"),
    Transition(L, Unkillable, "survives SIGKILL", S, "nothing is launched over a living process"),
    Transition(R, Unkillable, "survives SIGKILL", S, "nothing is launched over a living process"),
    Transition(D, Unkillable, "survives SIGKILL", S, "nothing is launched over a living process"),
    Transition(K, Unkillable, "survives SIGKILL", S, "nothing is launched over a living process"),
    # Watching.
    Transition(R, Observed, "healthy", R, "the attempt is within its deadlines"),
    Transition(R, Observed, "silent", R, "stacks are taken and the user is told, once"),
    Transition(R, Observed, "overdue", R, "a deadline is over, or all ranks have ended"),
    Transition(R, Observed, "hung", K, "no step for ten deadlines, and no look was answered"),
    Transition(R, Observed, "lingering", K, "it said how it ends, lives on; no look was answered"),
    Transition(R, Observed, "ranks gone", K, "all ranks died; the main process is idle for 60 s"),
    Transition(None, Observed, "noted", None, "only a running attempt is judged"),
    Transition(None, SignsSeen, "noted", None, "a loop without adapter says that it lives"),
    Transition(D, SignsSeen, "own save awaited", D, "it trains on to its own next save"),
    Transition(D, SignsSeen, "no own save", D, "that save comes too late: SIGTERM once more"),
    Transition(D, Surveyed, "own save made", D, "that save is proven: SIGTERM once more"),
    Transition(D, Tick, "no own save", D, "the grace is nearly over: SIGTERM once more"),
    Transition(None, Described, "noted", None, "what the trainer says of itself"),
    Transition(R, Looked, "hung", K, "the attempt hangs: stacks, SIGTERM, SIGKILL 15 s later"),
    Transition(R, Looked, "lingering", K, "the trainer has said how it ends, and lives on"),
    Transition(R, Looked, "silent", R, "stacks are taken and the user is told, once"),
    Transition(R, Looked, "at work", R, "no proof of a hang: told once, looked at again"),
    Transition(None, Looked, "noted", None, "the attempt gave a sign of life meanwhile"),
    Transition(R, BeginsAnew, "ends it", K, "not resumed. SIGKILL: at SIGTERM it would save"),
    Transition(R, BeginsAnew, "doubted", R, "perhaps not resumed: a warning, no pruning"),
    Transition(None, BeginsAnew, "noted", None, "the resume is trusted, or doubted already"),
    Transition(None, GoesOn, "noted", None, "the steps go on: a doubt is over"),
    Transition(K, StacksTaken, "terminate", K, "the stacks are kept: now SIGTERM"),
    Transition(None, StacksTaken, "noted", None, "no kill waits for the stacks"),
    Transition(None, Suspended, "excused", None, "all deadlines begin anew after a suspend"),
    # The operator and the scheduler.
    Transition(L, StopAsked, "attempt alive", D, "SIGTERM, then `grace` to save and end"),
    Transition(R, StopAsked, "attempt alive", D, "SIGTERM, then `grace` to save and end"),
    Transition(L, StopAsked, "nothing runs", RunState.PREEMPTED, "no trainer runs"),
    Transition(L, StopAsked, "being judged", D, "the attempt ended before the stop"),
    Transition(B, StopAsked, "nothing runs", RunState.PREEMPTED, "no trainer runs"),
    Transition(W, StopAsked, "nothing runs", RunState.PREEMPTED, "no trainer runs"),
    Transition(D, StopAsked, "again", D, "a repeated signal changes nothing"),
    Transition(D, StopAsked, "third interrupt", K, "the third Ctrl-C: SIGKILL"),
    Transition(D, StopAsked, "third interrupt, ended", RunState.PREEMPTED, "the trainer has ended"),
    Transition(K, StopAsked, "noted", K, "being ended already; no other is launched"),
    Transition(L, IntentChanged, "stop, attempt alive", D, "SIGTERM, then `grace` to save and end"),
    Transition(R, IntentChanged, "stop, attempt alive", D, "SIGTERM, then `grace` to save and end"),
    Transition(L, IntentChanged, "stop, nothing runs", RunState.STOPPED, "no trainer runs"),
    Transition(L, IntentChanged, "stop, being judged", D, "the attempt ended before the stop"),
    Transition(B, IntentChanged, "stop, nothing runs", RunState.STOPPED, "no trainer runs"),
    Transition(W, IntentChanged, "stop, nothing runs", RunState.STOPPED, "no trainer runs"),
    Transition(L, IntentChanged, "hold, nothing runs", H, "`supervisor hold`: no launch"),
    Transition(B, IntentChanged, "hold, nothing runs", H, "`supervisor hold`: no launch"),
    Transition(W, IntentChanged, "hold, nothing runs", H, "`supervisor hold`: no launch"),
    Transition(B, IntentChanged, "go on now", L, "`supervisor resume` ends the wait"),
    Transition(W, IntentChanged, "go on now", L, "`supervisor resume` ends the wait"),
    Transition(None, IntentChanged, "noted", None, "the intent is obeyed when the attempt ends"),
    # The scheduler's job.
    Transition(None, JobSeen, "noted", None, "how long the job still has, and why it ends"),
    Transition(D, Rescued, "saved instead", D, "no time for a save: SIGKILL after persisting"),
    # Time.
    Transition(B, Tick, "time is up", L, "the pause is over: read the checkpoints, then launch"),
    Transition(W, Tick, "time is up", W, "look at the cause again"),
    Transition(W, Probed, "clear", L, "the cause is gone"),
    Transition(W, Probed, "not yet", W, "the cause is still there: look again later"),
    Transition(D, Tick, "grace is over", K, "the trainer did not end within the grace: SIGKILL"),
    Transition(D, Tick, "unread in time", RunState.PREEMPTED, "the reading took too long"),
    Transition(K, Tick, "stacks took too long", K, "SIGTERM without the stacks"),
    Transition(K, Tick, "SIGTERM was not enough", K, "15 s after SIGTERM: SIGKILL"),
    Transition(K, Tick, "SIGKILL was not enough", S, "nothing is launched over a living process"),
    Transition(None, Tick, "early", None, "no time is up yet"),
    Transition(None, Probed, "noted", None, "the run does not wait any more"),
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
