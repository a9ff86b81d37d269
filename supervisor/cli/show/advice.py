"""What to type next, for each state of a run, as it can be typed here; it runs nothing."""

import os
import shlex
from pathlib import Path

from supervisor.cli.record import RunRecord, Unwatched
from supervisor.core.ending import Advice
from supervisor.core.status import Status
from supervisor.core.vocabulary import Failure, Intent, RunState
from supervisor.core.wording import is_operators_hold


def next_steps(record: RunRecord) -> list[str]:
    """What to type next, for each state; a command stands alone on its line."""
    run_dir = shown_path(record.paths.run_dir)
    status = record.status
    again = f"  supervisor run {shown_config(status)}"
    resume = f"  supervisor resume {run_dir}"
    events = f"  supervisor events {run_dir}"
    # After `stop` or `hold` a `run` starts nothing, so `resume` comes first.
    start = [again] if record.intent is Intent.RUN else [resume, again]
    go_on = "To go on where it stopped:" if status.checkpoint else "To start it again:"
    match record.state:
        case _ if record.queued is not None and record.intent is Intent.RUN:
            text = "The run goes on by itself when the job's turn comes. To cancel the job:"
            return [text, f"  scancel {record.queued.job_id}"]
        case Unwatched.NEVER_STARTED:
            return ["The run was never started. To start it:", *start]
        case Unwatched.DOWN if record.still_running:
            pid = record.still_running[0].pid
            text = "No supervisor has this run: it was killed, but the trainer goes on."
            save = "To have the trainer save and end, and to go on from there under a supervisor:"
            return [text, save, *start, *by_hand(pid)]
        case Unwatched.DOWN:
            text = "No supervisor has this run: it was killed, or its machine went down."
            return [text, f"Nothing trains now. {go_on}", *start]
        case RunState.HELD if is_operators_hold(status.reason):
            return [go_on, resume, again]
        case RunState.HELD if status.failure in (
            Failure.CHECKPOINTS_MISSING,
            Failure.CHECKPOINTS_UNSEEN,
        ):
            text = "Put the checkpoints back. Then:"
            if status.failure == Failure.CHECKPOINTS_UNSEEN:
                text = f"Write what `why` says into {shown_config(status)}. Then:"
            return [text, resume, again, "To begin again without them:", f"{again} --from-nothing"]
        case RunState.HELD:
            return ["A human has to look:", events, "When the cause is mended:", resume, again]
        case RunState.STUCK:
            text = "A process survives SIGKILL (it hangs in a driver or a file system)."
            return [text, "End that process or reboot. Then:", resume, again]
        case RunState.STOPPED | RunState.PREEMPTED:
            return [go_on, *start]
        case RunState.COMPLETED:
            return ["Finished. To train on:", f"{again} --again"]
        case RunState.WAITING if status.failure == Failure.CHECKPOINTS_MISSING:
            text = "To begin again without the checkpoints, instead of waiting for them:"
            stop = f"  supervisor stop {run_dir}"
            return [text, stop, resume, f"{again} --from-nothing"]
        case (
            RunState.RUNNING
            | RunState.LAUNCHING
            | RunState.BACKOFF
            | RunState.WAITING
            | RunState.DRAINING
            | RunState.KILLING
        ):
            return ["To see what the trainer prints:", f"  supervisor logs -f {run_dir}"]
        case _:
            return [events]


def advice_text(status: Status) -> str:
    """What a person can do about the last failure, with the configuration's path as typed here."""
    if status.advice is None:
        return ""
    command = status.advice.command or ""
    if "supervisor " in command:
        command = f"{command} {shown_config(status)}"
    return Advice(status.advice.sentence, command).text


def by_hand(pid: int) -> list[str]:
    """How to end a process of a run that no supervisor has."""
    return ["To end that process by hand (at this signal it may save):", f"  kill -TERM {pid}"]


def intent_text(record: RunRecord) -> str:
    """What the operator asked for and what that means now; nothing where it is obvious."""
    if record.intent is Intent.RUN or record.state in (
        RunState.COMPLETED,
        RunState.DRAINING,
        RunState.KILLING,
    ):
        return ""
    if not record.live:
        return f"{record.intent}: nothing starts until `supervisor resume`"
    if record.intent is Intent.STOP:
        return "stop: the daemon has not read it yet"
    return "hold: after this attempt no other is launched until `supervisor resume`"


def shown_config(status: Status | None) -> str:
    """The configuration's path as it may be typed here; `CONFIG` where it is not known."""
    known = None if status is None else status.config
    return shown_path(Path(known)) if known else "CONFIG"


def shown_path(path: Path) -> str:
    """A path as it may be typed here: relative where that is shorter, quoted where needed."""
    here = Path.cwd()
    inside = path.is_relative_to(here) and path != here and here != Path(here.anchor)
    return shell_word(str(path.relative_to(here) if inside else path))


def shell_word(text: str) -> str:
    r"""A word as a shell takes it; `$'a\x0ab'` where a character is not printable (bash(1))."""
    if text.isprintable():
        return shlex.quote(text)
    plain = {"\\": "\\\\", "'": "\\'"}
    return "$'" + "".join(plain.get(c, c if c.isprintable() else _bytes_of(c)) for c in text) + "'"


def _bytes_of(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
