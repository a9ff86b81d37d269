"""A run's status in a few lines, and what to type next; shared by `status` and `stop`."""

import textwrap
from collections.abc import Iterator
from typing import Any

from supervisor.cli.advice import next_steps, wish_text
from supervisor.cli.launching import launch_text
from supervisor.cli.memory_tier import persister_text, snapshot_text
from supervisor.cli.moments import age_text, count_text, wall_of
from supervisor.cli.record import RunRecord, no_daemon_text
from supervisor.cli.terminal import paint, strip_controls
from supervisor.config.durations import format_duration
from supervisor.daemon.frozen_launcher import frozen_text

STATE_COLOURS = {
    "running": "green",
    "completed": "green",
    "launching": "cyan",
    "draining": "yellow",
    "killing": "yellow",
    "backoff": "yellow",
    "waiting": "yellow",
    "preempted": "yellow",
    "stopped": "yellow",
    "held": "red",
    "stuck": "red",
    "down": "red",
}
# Endings that are no failures: `why` says all there is to say.
UNREMARKABLE = frozenset({"completed", "preempted", "stopped_by_user", "cancelled"})
_LABEL = 14
_WIDTH = 80


def summary_lines(record: RunRecord, *, now_s: float) -> list[str]:
    """The status for a person, 80 columns wide."""
    status = record.status or {}
    lines = [_headline(record, status, now_s)]
    for label, text in _facts(record, status, now_s):
        wrapped = textwrap.wrap(
            strip_controls(text),
            _WIDTH - _LABEL - 2,
            break_on_hyphens=False,
            break_long_words=False,
        )
        for i, line in enumerate(wrapped):
            lines.append(f"  {label if i == 0 else '':<{_LABEL}}{line}")
    lines += ["", *next_steps(record)]
    return lines


def _headline(record: RunRecord, status: dict[str, Any], now_s: float) -> str:
    """`gpt-docs  running  attempt 3 (2 restarts), up 3h12m`."""
    parts = [paint(record.state, STATE_COLOURS.get(record.state))]
    if record.queued is not None:
        parts = [paint("waiting in the queue", "yellow")]
    if status.get("attempt"):
        restarts = status.get("restarts") or 0
        noun = "restart" if restarts == 1 else "restarts"
        parts.append(f"attempt {status['attempt']} ({restarts} {noun})")
    started = wall_of(status.get("started_at"))
    if started is not None and record.live:
        parts.append(f"up {format_duration(max(0.0, now_s - started))}")
    return f"{paint(strip_controls(record.name), 'bold')}  " + "  ".join(parts)


def _facts(record: RunRecord, status: dict[str, Any], now_s: float) -> Iterator[tuple[str, str]]:
    """Label and text of each fact that is known."""
    if record.no_daemon is not None:
        yield "daemon", no_daemon_text(record.no_daemon, now_s)
    if record.launcher_frozen and record.owner is not None:
        yield "launcher", f"FROZEN: {frozen_text(record.owner.identity.pid)}"
    for found in record.still_running:
        yield "still runs", f"{running_text(found)}: nobody watches it, and nothing follows it"
    if record.queued is not None:
        yield "SLURM", record.queued.text
    if status.get("reason"):
        yield "why", str(status["reason"])
    if progress := progress_text(status if record.live else {**status, "step_rate": None}):
        yield "progress", progress
    if record.live and status.get("phase"):
        yield "phase", _phase_text(status, record.age_s or 0.0)
    if checkpoint := checkpoint_text(status.get("checkpoint"), now_s):
        yield "checkpoint", checkpoint
    if record.snapshot is not None:
        yield "snapshot", snapshot_text(record, record.snapshot)
    if record.live and (persister := persister_text(status.get("persister"))):
        yield "persister", persister
    if record.live and (launch := launch_text(status.get("launch"))):
        yield "launch", launch
    if status.get("failure") and status["failure"] not in UNREMARKABLE:
        yield "last failure", failure_text(status)
    is_acting = record.live and not record.launcher_frozen
    if (soon := next_text(status, now_s)) and is_acting:
        yield "next", soon
    if is_acting and (stopping := stopping_text(status, now_s)):
        yield "stopping", stopping
    if wish := wish_text(record):
        yield "operator", wish
    if goodput := goodput_text(status.get("goodput")):
        yield "goodput", goodput
    if budget := _budget_text(status.get("budget")):
        yield "budget", budget
    frozen = None if record.owner is None else frozen_text(record.owner.identity.pid)
    for warning in status.get("warnings") or ():
        if warning == frozen:
            continue  # it stands above, or is over
        yield "warning", str(warning)
    yield "directory", str(record.paths.run_dir)
    yield "supervisor", _supervisor_text(record)


def _supervisor_text(record: RunRecord) -> str:
    """Who has the run, as far as that can be seen from here."""
    who = record.owner.describe() if record.owner else "none"
    if not record.live:
        ago = f"; last heard of {age_text(record.age_s)}" if record.age_s is not None else ""
        gone = f"none now (it was {who})" if record.owner else "none"
        return f"{gone}{ago}"
    ago = f"; updated {age_text(record.age_s)}" if record.age_s is not None else ""
    late = ": the daemon does not write, so this is how it was then" if record.stale else ""
    return f"{who}{ago}{late}"


def running_text(found: dict[str, Any]) -> str:
    """`python train.py (pid 42, attempt 3, step 120)`."""
    facts = [f"pid {found['pid']}"]
    if found.get("attempt") is not None:
        facts.append(f"attempt {found['attempt']}")
    if found.get("step") is not None:
        facts.append(f"step {found['step']:,}")
    return f"{found['command']} ({', '.join(facts)})"


def progress_text(status: dict[str, Any]) -> str:
    """Step, rate, epoch and loss as far as known."""
    parts = []
    if isinstance(status.get("step"), int):
        rate = status.get("step_rate")
        speed = f" at {rate_text(rate)}" if rate else ""
        parts.append(f"step {count_text(status['step'])}{speed}")
    if status.get("epoch") is not None:
        parts.append(f"epoch {status['epoch']}")
    if isinstance(status.get("loss"), (int, float)):
        parts.append(f"loss {status['loss']:.4g}")
    return ", ".join(parts)


def rate_text(rate: float) -> str:
    """Steps a second, or seconds a step where it is slow."""
    return f"{rate:.3g} steps/s" if rate >= 0.5 else f"{1 / rate:.3g} s/step"


def _phase_text(status: dict[str, Any], since_s: float) -> str:
    """What the trainer is doing and how lately it was heard, `since_s` after it was written."""
    age = status.get("heartbeat_age_s")
    if isinstance(age, (int, float)):
        return f"{status['phase']}, last heartbeat {age_text(age + since_s)}"
    log_age = status.get("log_age_s")
    if isinstance(log_age, (int, float)):
        return f"{status['phase']}, no heartbeats; last log line {age_text(log_age + since_s)}"
    return str(status["phase"])


def checkpoint_text(checkpoint: Any, now_s: float) -> str:
    """Name, step and age of the newest valid checkpoint."""
    if not isinstance(checkpoint, dict) or not checkpoint.get("path"):
        return ""
    name = str(checkpoint["path"]).rstrip("/").rpartition("/")[2]
    parts = [name]
    if checkpoint.get("step") is not None:
        kind = f", {checkpoint['kind']}" if checkpoint.get("kind") else ""
        parts.append(f"(step {count_text(checkpoint['step'])}{kind})")
    saved = wall_of(checkpoint.get("at") or checkpoint.get("saved_at"))
    if saved is not None:
        parts.append(age_text(now_s - saved))
    return " ".join(parts)


def failure_text(status: dict[str, Any]) -> str:
    """The last failure, and what was done about it."""
    action = status.get("action")
    if status["failure"] == "disk_full" and status.get("state") != "held":
        action = "waiting"  # what was diagnosed is held only where this has a limit
    return f"{status['failure']} → {action}" if action else str(status["failure"])


def next_text(status: dict[str, Any], now_s: float) -> str:
    """What the daemon will do by itself, with a countdown."""
    moment = wall_of(status.get("next_at"))
    what = {
        "backoff": "relaunch",
        "waiting": "look again",
        "draining": "end it by force",
        "killing": "kill",
    }.get(str(status.get("state")))
    if moment is None or what is None:
        return ""
    return f"{what} in {format_duration(max(0.0, moment - now_s))}"


def stopping_text(status: dict[str, Any], now_s: float) -> str:
    """What was asked of the trainer, for how long yet, and what another Ctrl-C does."""
    stopping = status.get("stopping")
    if not isinstance(stopping, dict) or status.get("state") not in ("draining", "killing"):
        return ""
    step = status.get("step")
    if status["state"] == "killing":
        asked = isinstance(times := status.get("interrupts"), int) and times > 2
        return "the trainer is being killed" + (" on request" if asked else "")
    # Only what calls attach() says that it saves; of the others nobody knows.
    if status.get("phase") == "save":
        text = "the trainer is saving" + (f" step {count_text(step)}" if step is not None else "")
    else:
        at = f" (step {count_text(step)})" if isinstance(step, int) else ""
        text = f"the trainer was asked to save and end{at}"
    since, grace = wall_of(stopping.get("since")), stopping.get("grace_s")
    if since is not None and isinstance(grace, (int, float)):
        left = max(0.0, since + float(grace) - now_s)
        text += f"; it has {format_duration(left)} left"
    match status.get("interrupts"):
        case 1:
            text += "; Ctrl-C twice more kills it unsaved"
        case int(times) if times >= 2:
            text += "; a third Ctrl-C kills it unsaved"
    return text


def goodput_text(goodput: Any) -> str:
    """The share of time that training kept, and where the rest went."""
    if not isinstance(goodput, dict) or not goodput.get("total_s"):
        return ""
    parts = [
        f"{label} {format_duration(float(goodput[key]))}"
        for key, label in (
            ("training_s", "training"),
            ("launching_s", "launching"),
            ("saving_s", "saving"),
            ("replaying_s", "replaying"),
            ("waiting_s", "waiting"),
            ("down_s", "down"),
            ("unknown_s", "not known"),
        )
        if isinstance(goodput.get(key), (int, float)) and goodput[key] >= 0.05
    ]
    kept = goodput.get("goodput")
    share = "not known: no steps were seen"
    if isinstance(kept, (int, float)):
        share = f"{100 * kept:.1f} %"
    return f"{share} ({', '.join(parts)})" if parts else share


def _budget_text(budget: Any) -> str:
    """What of the restart budgets is spent; nothing as long as nothing is."""
    if not isinstance(budget, dict) or not (budget.get("failures") or budget.get("today")):
        return ""
    noun = "failure" if budget.get("max_failures") == 1 else "failures"
    return (
        f"{budget.get('failures')} of {budget.get('max_failures')} {noun} without progress, "
        f"{budget.get('today')} of {budget.get('max_per_day')} today"
    )
