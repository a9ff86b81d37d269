"""The ledger told in sentences. An entry of a kind that is not known here is told as it is."""

import json
import signal
from typing import Any

from supervisor.cli.moments import count_text, size_text
from supervisor.config.durations import format_duration
from supervisor.core.vocabulary import StopSource, Tier

_SILENT = frozenset(
    {"time", "progress", "saved", "hung", "parked", "checkpoint_seen", "checkpoint_place"}
    | {"save_seen", "steps_began", "steps_went_back"}
)
_CLOCKS = frozenset({"type", "at", "wall", "monotonic"})


def sentence(entry: dict[str, Any]) -> str | None:
    """What an entry says, as a person would; None for mere accounting."""
    kind = str(entry.get("type"))
    if kind in _SILENT:
        return None
    tell = _TELLERS.get(kind)
    if tell is not None:
        try:
            return tell(entry)
        except (KeyError, TypeError, ValueError):
            # Written by another version: better as it stands than not at all.
            pass
    rest = {k: v for k, v in entry.items() if k not in _CLOCKS}
    return f"{kind}: {json.dumps(rest, ensure_ascii=False)}" if rest else kind


def details(entry: dict[str, Any]) -> list[str]:
    """The evidence below a sentence."""
    if entry.get("type") not in ("attempt_ended", "incident"):
        return []
    return [str(line) for line in (entry.get("evidence") or ())[:3]]


def _base(path: Any) -> str:
    return str(path).rstrip("/").rpartition("/")[2]


def _run_created(entry: dict[str, Any]) -> str:
    return f"The run {entry['name']!r} was created (id {entry['run_id']})."


def _supervisor_started(entry: dict[str, Any]) -> str:
    where = f" on {entry['host']}" if entry.get("host") else ""
    config = f", with {entry['config_path']}" if entry.get("config_path") else ""
    return f"A supervisor took the run{where} (pid {entry['pid']}){config}."


def _daemon_started(entry: dict[str, Any]) -> str:
    adopted = entry.get("adopted_attempt")
    if adopted:
        return f"A new daemon (pid {entry['pid']}) took over attempt {adopted}, still running."
    return f"The daemon began (pid {entry['pid']})."


def _attempt_started(entry: dict[str, Any]) -> str:
    how = "started warm" if entry.get("launch") == "warm" else "started"
    checkpoint = entry.get("checkpoint")
    if isinstance(checkpoint, str):
        checkpoint = {"path": checkpoint}
    if not checkpoint and entry.get("resumes_by") == "trainer":
        who = f"Attempt {entry['attempt']} {how} (pid {entry['pid']})"
        return f"{who}; it finds its checkpoint itself."
    if not checkpoint:
        return f"Attempt {entry['attempt']} {how} from the beginning (pid {entry['pid']})."
    step = checkpoint.get("step")
    at = f" (step {count_text(step)})" if step is not None else ""
    name = _base(checkpoint["path"])
    kept = ", the snapshot in memory" if checkpoint.get("tier") == Tier.MEMORY else ""
    return f"Attempt {entry['attempt']} {how} from {name}{at}{kept} (pid {entry['pid']})."


def _first_step(entry: dict[str, Any]) -> str:
    step = (
        f"step {count_text(entry['step'])}" if entry.get("step") is not None else "its first step"
    )
    took = entry.get("startup_s")
    after = f" after {format_duration(float(took))}" if took is not None else ""
    return f"Attempt {entry['attempt']} reached {step}{after}."


def _left_training(entry: dict[str, Any]) -> str:
    what = f"The main process of attempt {entry['attempt']} exited with 0"
    return f"{what}, and what it left behind trains on ({entry['sign']})."


def _ending(entry: dict[str, Any]) -> str:
    """`by SIGKILL`, `with exit code 1`."""
    number = entry.get("signal")
    if number:
        try:
            return f"by {signal.Signals(int(number)).name}"
        except ValueError:
            return f"by signal {number}"
    code = entry.get("outcome") if entry.get("outcome") is not None else entry.get("code")
    return f"with exit code {code}" if code is not None else "unseen"


def _attempt_ended(entry: dict[str, Any]) -> str:
    parts = [f"Attempt {entry['attempt']} ended {_ending(entry)}"]
    if entry.get("step") is not None:
        parts.append(f" at step {count_text(entry['step'])}")
    if entry.get("duration_s") is not None:
        parts.append(f", after {format_duration(float(entry['duration_s']))}")
    if entry.get("stop_requested"):
        saved = "saved" if entry.get("saved") else "nothing new saved"
        parts.append(f", as asked ({saved})")
    elif entry.get("failure") and entry["failure"] != "completed":
        parts.append(f": {entry['failure']}")
        where = f" in {entry['frame']}" if entry.get("frame") else ""
        if entry.get("exception"):
            parts.append(f", {entry['exception']}{where}")
    text = "".join(parts).rstrip(".") + "."
    # "Killed, and nobody knows why" would be false: a stop ends so once its grace is over.
    is_known = entry.get("stop_requested") and entry.get("signal") == signal.SIGKILL
    return f"{text} {_whole(entry['reason'])}" if entry.get("reason") and not is_known else text


def _attempt_unwatched(entry: dict[str, Any]) -> str:
    who = f"Attempt {entry['attempt']}"
    at = f" (step {count_text(entry['step'])})" if entry.get("step") is not None else ""
    found = ", ".join(f"{one['comm']}, pid {one['pid']}" for one in entry.get("found") or ())
    on = f"{who} went on without a supervisor ({found}){at}"
    match entry["how"]:
        case "gone":
            return f"{who} ended{at} while no supervisor watched: how, nobody knows."
        case "ended":
            return f"{on}; asked to save, it ended."
        case "killed":
            return f"{on}; asked to save, it did not end within the grace, and was killed."
        case _:
            return f"{on}; it survives SIGKILL."


def _whole(text: Any) -> str:
    """A reason as a sentence of its own."""
    words = str(text).strip().rstrip(".")
    return f"{words[:1].upper()}{words[1:]}." if words else ""


def _checkpoint(entry: dict[str, Any]) -> str:
    name = _base(entry["path"])
    step = f"step {count_text(entry.get('step'))}, " if entry.get("step") is not None else ""
    kind = f"{entry['kind']}, " if entry.get("kind") else ""
    facts = f"({step}{kind}{size_text(entry.get('bytes'))})"
    match entry.get("valid"):
        case True:
            progress = "; durable progress" if entry.get("progress") else ""
            return f"{name} {facts} is valid, proven by {entry.get('proof')}{progress}."
        case False:
            return f"{name} {facts} is NOT valid: {entry.get('reason')}."
        case _:
            return f"{name} {facts} was found."


def _checkpoint_removed(entry: dict[str, Any]) -> str:
    to = f", moved to {entry['to']}" if entry.get("to") else ""
    verb = "was set aside" if entry.get("to") else "was removed"
    reason = f" ({entry['reason']})" if entry.get("reason") else ""
    return f"{_base(entry['path'])} {verb}: {entry.get('why')}{reason}{to}."


def _pointer_set(entry: dict[str, Any]) -> str:
    pointer, was = _base(entry["path"]), entry["from"]
    if entry.get("to") is None:
        to = f", moved to {entry['place']}" if entry.get("place") else ""
        return f"The trainer's pointer {pointer} was set aside with {_base(was)}, its target{to}."
    return f"The trainer's pointer {pointer} names {entry['to']} now: {was} was set aside."


def _going_back(entry: dict[str, Any]) -> str:
    names = ", ".join(_base(path) for path in entry.get("later") or ())
    return f"The run goes back to step {entry.get('step')}; set aside: {names}."


def _decision(entry: dict[str, Any]) -> str:
    reason = f": {entry['reason']}" if entry.get("reason") else ""
    wait = entry.get("wait_s")
    what = {
        "backoff": "Decided to wait"
        + (f" {format_duration(float(wait))} before the next attempt" if wait else ""),
        "waiting": "Decided to wait until the cause clears",
        "held": "HELD, a human has to look",
        "stuck": "STUCK, a process survives SIGKILL",
        "completed": "The run is finished",
        "preempted": "The run ends for now",
        "stopped": "The run is stopped",
    }.get(str(entry.get("state")), "Decided to launch the next attempt")
    return f"{what}{reason}."


def _incident(entry: dict[str, Any]) -> str:
    done = f" Done: {entry['done']}." if entry.get("done") else ""
    folder = f" ({entry['folder']})" if entry.get("folder") else ""
    # Without a number where its folder could not be made.
    number = f" {entry['id']}" if entry.get("id") else ""
    return f"Incident{number}: {_whole(entry.get('what') or entry.get('failure'))}{done}{folder}"


def _looked(entry: dict[str, Any]) -> str:
    verdict = "It is at work" if entry.get("is_work") else "That is no proof of a hang"
    return f"Attempt {entry['attempt']}: {entry['why']}; {entry['seen']}. {verdict}."


def _ranks_gone(entry: dict[str, Any]) -> str:
    how = "said so and ended" if entry.get("ended_well") else "ended without a word"
    return f"Attempt {entry['attempt']}: {entry['ranks']} {how}; {entry['main']} goes on."


def _requeue(entry: dict[str, Any]) -> str:
    what = {
        "ask": "is put into SLURM's queue again",
        "already": "is in SLURM's queue again already",
        "cancelled": "was cancelled, and is not requeued",
        "forbidden": "may not be requeued",
        "no_batch": "is no batch job, and cannot be requeued",
    }.get(str(entry["verdict"]), "is not requeued: SLURM did not say how it is, or refused")
    return f"Job {entry['job']} {what}."


def _supervisor_ended(entry: dict[str, Any]) -> str:
    why = f": {entry['reason']}" if entry.get("reason") else ""
    return f"The supervisor ended, {entry.get('state')} (exit {entry.get('code')}){why}."


def _took_over(entry: dict[str, Any]) -> str:
    run_dir = entry.get("run_dir")
    who = "a mark that nobody can read" if run_dir is None else f"the run in {run_dir}"
    return f"Took {entry['directory']} over from {who}."


_TELLERS = {
    "run_created": _run_created,
    "supervisor_started": _supervisor_started,
    "daemon_started": _daemon_started,
    "reloaded": lambda _: "The daemon was replaced on request.",
    "attempt_started": _attempt_started,
    "start_failed": lambda e: f"Attempt {e['attempt']} could not start: {e.get('reason')}.",
    "left_training": _left_training,
    "first_step": _first_step,
    "attempt_ended": _attempt_ended,
    "attempt_unwatched": _attempt_unwatched,
    "checkpoint": _checkpoint,
    "checkpoint_removed": _checkpoint_removed,
    "pointer_set": _pointer_set,
    "going_back": _going_back,
    "decision": _decision,
    "incident": _incident,
    "looked": _looked,
    "ranks_gone": _ranks_gone,
    "stop_requested": lambda e: f"A stop was asked for, by {StopSource(e['by']).shown}.",
    "suspended": lambda e: f"Everything stood still for {e['gap_s']:.0f} s; the grace is longer.",
    "requeue": _requeue,
    "intent": lambda e: f"The operator's wish is now: {e['intent']}.",
    "begin_again": lambda _: "The operator lets the run begin again, its checkpoints missing.",
    "saves_elsewhere": lambda e: f"Not seen as checkpoints: {e['advice']}.",
    "not_resumed": lambda e: f"Killed before its next save: {e['reason']}.",
    "resume_doubted": lambda e: f"In doubt: {e['reason']}.",
    "resume_seen": lambda e: f"Attempt {e['attempt']} resumed, as its steps show.",
    "resumed": lambda _: "Resumed by the operator; failure budgets start again.",
    "took_over": _took_over,
    "reopened": lambda _: "The finished run was reopened, to train on.",
    "record_remade": lambda e: f"Its record was removed, and made anew: {', '.join(e['lost'])}.",
    "save_failed": lambda e: f"A save failed while training went on: {e.get('line')}",
    "supervisor_ended": _supervisor_ended,
}
