"""A run's status in a few lines, and what to type next; shared by `status` and `stop`."""

import textwrap
from collections.abc import Iterator

from supervisor.cli.record import RunRecord, Unwatched, no_daemon_text
from supervisor.cli.show.advice import advice_text, intent_text, next_steps
from supervisor.cli.show.formatting import age_text, count_text, wall_of
from supervisor.cli.show.launching import launch_text
from supervisor.cli.show.memory_tier import persister_text, snapshot_text
from supervisor.cli.show.progress import progress_text, without_pace
from supervisor.cli.show.terminal import paint, strip_controls
from supervisor.config.durations import format_duration
from supervisor.core.save_interval_words import save_interval_text
from supervisor.core.sign_of_life_status import SignOfLifeStatus
from supervisor.core.status import (
    BudgetStatus,
    CheckpointStatus,
    GoodputStatus,
    Status,
)
from supervisor.core.unwatched_status import StillRunning
from supervisor.core.vocabulary import Action, Failure, Nature, RunState
from supervisor.core.wording import clauses, counted
from supervisor.daemon.look.frozen_launcher import frozen_text
from supervisor.daemon.tell.change_words import changed_text

STATE_COLOURS: dict[str, str] = {
    RunState.RUNNING: "green",
    RunState.COMPLETED: "green",
    RunState.LAUNCHING: "cyan",
    RunState.DRAINING: "yellow",
    RunState.KILLING: "yellow",
    RunState.BACKOFF: "yellow",
    RunState.WAITING: "yellow",
    RunState.PREEMPTED: "yellow",
    RunState.STOPPED: "yellow",
    RunState.HELD: "red",
    RunState.STUCK: "red",
    Unwatched.DOWN: "red",
}
_COMES_NEXT: dict[str, str] = {
    RunState.BACKOFF: "relaunch",
    RunState.WAITING: "look again",
    RunState.DRAINING: "end the trainer by force",
    RunState.KILLING: "kill",
}
_LABEL = 14
_WIDTH = 80


def summary_lines(record: RunRecord, *, now_s: float) -> list[str]:
    """The status for a person, 80 columns wide."""
    lines = [_headline(record, now_s)]
    for label, text in _facts(record, now_s):
        is_hold = label == "why" and record.state in (RunState.HELD, RunState.STUCK)
        wrapped = [
            line
            for part in (clauses(text) if is_hold and len(text) > _WIDTH else [text])
            for line in textwrap.wrap(
                strip_controls(part),
                _WIDTH - _LABEL - 2,
                break_on_hyphens=False,
                break_long_words=False,
            )
        ]
        for i, line in enumerate(wrapped):
            lines.append(f"  {label if i == 0 else '':<{_LABEL}}{line}")
    lines += ["", *next_steps(record)]
    return lines


def _headline(record: RunRecord, now_s: float) -> str:
    """`gpt-docs  running  attempt 3 (2 restarts), up 3h12m`."""
    status = record.status
    parts = [paint(record.state, STATE_COLOURS.get(record.state))]
    if record.queued is not None:
        parts = [paint("waiting in the queue", "yellow")]
    if status.attempt:
        restarts = status.restarts or 0
        noun = "restart" if restarts == 1 else "restarts"
        parts.append(f"attempt {status.attempt} ({restarts} {noun})")
    started = wall_of(status.started_at)
    if started is not None and record.live:
        parts.append(f"up {format_duration(max(0.0, now_s - started))}")
    return f"{paint(strip_controls(record.name), 'bold')}  " + "  ".join(parts)


def _facts(record: RunRecord, now_s: float) -> Iterator[tuple[str, str]]:
    """Label and text of each fact that is known."""
    status = record.status
    if record.no_daemon is not None:
        yield "daemon", no_daemon_text(record.no_daemon, now_s)
    if record.launcher_frozen and record.owner is not None:
        yield "launcher", f"FROZEN: {frozen_text(record.owner.identity.pid)}"
    for found in record.still_running:
        yield (
            "still runs",
            f"{running_text(found)}: no supervisor watches it, and nothing starts after it",
        )
    if record.queued is not None:
        yield "SLURM", record.queued.text
    if status.reason:
        yield "why", status.reason
    if progress := progress_text(status if record.live else without_pace(status)):
        yield "progress", progress
    if record.live and status.adapter:
        yield "adapter", status.adapter
    if record.live and (alive := sign_text(status.sign_of_life, record.age_s or 0.0)):
        yield "sign of life", alive
    if status.described is not None and status.described.directory:
        yield "saves into", status.described.directory
    if record.live and status.recovery:
        yield "recovery", f"{'. '.join(status.recovery)}."
    if saves := save_interval_text(status.save_interval):
        yield "saves", saves
    if record.live and status.phase:
        yield "phase", _phase_text(status, record.age_s or 0.0)
    if checkpoint := checkpoint_text(status.checkpoint):
        yield "checkpoint", checkpoint
    if record.snapshot is not None:
        yield "snapshot", snapshot_text(record, record.snapshot)
    if record.live and (persister := persister_text(status.persister)):
        yield "persister", persister
    if record.live and (launch := launch_text(status.launch)):
        yield "launch", launch
    if is_remarkable(status):
        yield "last failure", failure_text(status)
    if status.advice is not None and record.state != RunState.COMPLETED:
        yield "advice", advice_text(status)
    if (changed := status.changed) is not None:
        yield "changed", changed_text(changed)
    is_acting = record.live and not record.launcher_frozen
    if (soon := next_text(status, now_s)) and is_acting:
        yield "next", soon
    if is_acting and (stopping := stopping_text(status, now_s)):
        yield "stopping", stopping
    if intent := intent_text(record):
        yield "operator", intent
    if goodput := goodput_text(status.goodput, is_shown=shows_steps(status)):
        yield "goodput", goodput
    if budget := _budget_text(status.budget):
        yield "budget", budget
    frozen = None if record.owner is None else frozen_text(record.owner.identity.pid)
    for warning in status.warnings:
        if warning == frozen:
            continue  # the line `launcher` says so above, or the launcher goes on again
        yield "warning", warning
    yield "directory", str(record.paths.run_dir)
    yield "supervisor", _supervisor_text(record)


def _supervisor_text(record: RunRecord) -> str:
    """Which supervisor has the run, or had it last, and when it was heard."""
    who = record.owner.describe() if record.owner else "none"
    if not record.live:
        ago = f"; last heard of {age_text(record.age_s)}" if record.age_s is not None else ""
        gone = f"none now (it was {who})" if record.owner else "none"
        return f"{gone}{ago}"
    ago = f"; updated {age_text(record.age_s)}" if record.age_s is not None else ""
    late = ": the daemon no longer writes, so this status is out of date" if record.stale else ""
    return f"{who}{ago}{late}"


def running_text(found: StillRunning) -> str:
    """`python train.py (pid 42, attempt 3, step 120)`."""
    facts = [f"pid {found.pid}"]
    if found.attempt is not None:
        facts.append(f"attempt {found.attempt}")
    if found.step is not None:
        facts.append(f"step {found.step:,}")
    return f"{found.command} ({', '.join(facts)})"


def _phase_text(status: Status, since_s: float) -> str:
    """What the trainer is doing and how lately it was heard, `since_s` after it was written."""
    if status.heartbeat_age_s is not None:
        return f"{status.phase}, last heartbeat {age_text(status.heartbeat_age_s + since_s)}"
    if status.log_age_s is not None:
        ago = age_text(status.log_age_s + since_s)
        return f"{status.phase}, no heartbeats; last log line {ago}"
    return str(status.phase)


def sign_text(signs: SignOfLifeStatus | None, since_s: float) -> str:
    """How lately a loop without adapter gave a sign of life, `since_s` after it was written."""
    if signs is None or signs.age_s is None:
        return ""
    during = "" if signs.phase is None else f", in phase {signs.phase}"
    gap = format_duration(signs.longest_gap_s or 0.0)
    limit = "" if signs.limit_s is None else f"; looked at after {format_duration(signs.limit_s)}"
    return f"{age_text(signs.age_s + since_s)}{during}; longest gap {gap}{limit}"


def checkpoint_text(checkpoint: CheckpointStatus | None) -> str:
    """Name, step and kind of the newest valid checkpoint."""
    if checkpoint is None:
        return ""
    name = checkpoint.path.rstrip("/").rpartition("/")[2]
    if checkpoint.step is None:
        return name
    kind = f", {checkpoint.kind}" if checkpoint.kind else ""
    return f"{name} (step {count_text(checkpoint.step)}{kind})"


def is_remarkable(status: Status) -> bool:
    """Whether the last end was a failure; of other ends the line `why` says enough."""
    if not status.failure:
        return False
    # Name a time limit as well: the user may want to give the job more time.
    is_limit = status.failure is Failure.TIME_LIMIT
    return is_limit or status.failure.nature is not Nature.ORDINARY


def failure_text(status: Status) -> str:
    """The last failure, and what was done about it."""
    # A full disk is held only where the wait for room has a limit.
    is_full = status.failure == Failure.DISK_FULL and status.action == Action.WAIT.told
    is_awaited = is_full and status.state != RunState.HELD
    action = "waiting" if is_awaited else status.action
    return f"{status.failure} → {action}" if action else str(status.failure)


def next_text(status: Status, now_s: float) -> str:
    """What the daemon will do by itself, with a countdown."""
    moment = wall_of(status.next_at)
    what = _COMES_NEXT.get(status.state or "")
    if moment is None or what is None:
        return ""
    return f"{what} in {format_duration(max(0.0, moment - now_s))}"


def stopping_text(status: Status, now_s: float) -> str:
    """What the trainer was asked to do, how long it has left, and what another Ctrl-C does."""
    stopping, step = status.stopping, status.step
    if stopping is None or status.state not in (RunState.DRAINING, RunState.KILLING):
        return ""
    if status.state == RunState.KILLING:
        return "the trainer is being killed" + (" on request" if status.interrupts > 2 else "")
    # Only a trainer that calls attach() reports that it saves.
    if status.phase == "save":
        text = "the trainer is saving" + (f" step {count_text(step)}" if step is not None else "")
    else:
        at = f" (step {count_text(step)})" if step is not None else ""
        text = f"the trainer was asked to save and end{at}"
        if stopping.waits_for == "own save":
            text = f"the trainer trains on to its own next save{at}"
    since = wall_of(stopping.since)
    if since is not None and stopping.grace_s is not None:
        left = max(0.0, since + stopping.grace_s - now_s)
        text += f"; it has {format_duration(left)} left"
    if status.interrupts == 1:
        text += "; two more Ctrl-C kill it unsaved"
    elif status.interrupts >= 2:
        text += "; a third Ctrl-C kills it unsaved"
    return text


def shows_steps(status: Status) -> bool:
    """Whether steps are known that say nothing of where the time goes."""
    return status.printed is not None or status.step is not None


def goodput_text(spent: GoodputStatus | None, *, is_shown: bool = False) -> str:
    """The share of time that training kept, and where the rest went.

    `is_shown`: steps are known, though not by a heartbeat.
    """
    if spent is None or not spent.total_s:
        return ""
    parts = [
        f"{label} {format_duration(float(seconds))}"
        for seconds, label in (
            (spent.training_s, "training"),
            (spent.launching_s, "launching"),
            (spent.saving_s, "saving"),
            (spent.replaying_s, "replaying"),
            (spent.waiting_s, "waiting"),
            (spent.down_s, "down"),
            (spent.unknown_s, "not known"),
        )
        if seconds is not None and seconds >= 0.05
    ]
    share = f"not known: {'steps are only printed' if is_shown else 'no steps were seen'}"
    if spent.goodput is not None:
        share = f"{100 * spent.goodput:.1f} %"
    return f"{share} ({', '.join(parts)})" if parts else share


def _budget_text(budget: BudgetStatus | None) -> str:
    """How much of the restart budgets is spent; empty while nothing is."""
    free = (budget and budget.free_restarts) or 0
    if budget is None or not (budget.failures or budget.today or free):
        return ""
    noun = "failure" if budget.max_failures == 1 else "failures"
    text = (
        f"{budget.failures} of {budget.max_failures} {noun} without progress, "
        f"{budget.today} of {budget.max_per_day} today"
    )
    return f"{text}; {counted(free, 'free restart')} without progress" if free else text
