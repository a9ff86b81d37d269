"""Tells the ledger in sentences. An entry of an unknown kind is shown as its JSON."""

import json
import signal
from typing import Any, TypeVar

from supervisor.cli.show.formatting import count_text, size_text
from supervisor.cli.show.trainer_sentences import trainer_sentence
from supervisor.config.durations import format_duration
from supervisor.core.entries import attempt, decision, resuming, run, saves, telling, trainer
from supervisor.core.entries.entry import Entry, UnknownEntry
from supervisor.core.vocabulary import Failure, RunState, Tier
from supervisor.daemon.tell.change_words import changed_text

T = TypeVar("T")
_SILENT = frozenset(
    {"time", "progress", "saved", "hung", "parked", "checkpoint_seen", "checkpoint_place"}
    | {"save_seen", "save_interval", "signs", "steps_began", "steps_went_back"}
)


class _UnsaidError(Exception):
    """An entry lacks a value that its sentence needs."""


def sentence(entry: Entry) -> str | None:
    """An entry as a sentence; None for an entry that only serves accounting."""
    kind = str(entry.record.get("type")) if isinstance(entry, UnknownEntry) else entry.kind
    if kind in _SILENT:
        return None
    try:
        told = _told(entry)
    except (_UnsaidError, ValueError):
        told = None  # another version wrote it: show the JSON rather than nothing
    if told is not None:
        return told
    rest = {k: v for k, v in entry.to_json().items() if k not in {"type", "wall"}}
    return f"{kind}: {json.dumps(rest, ensure_ascii=False)}" if rest else kind


def _said(value: T | None) -> T:
    if value is None:
        raise _UnsaidError
    return value


def _base(path: Any) -> str:
    return str(path).rstrip("/").rpartition("/")[2]


def _supervisor_started(entry: run.SupervisorStartedEntry) -> str:
    where = f" on {entry.host}" if entry.host else ""
    config = f", with {entry.config_path}" if entry.config_path else ""
    return f"A supervisor took the run{where} (pid {_said(entry.pid)}){config}."


def _daemon_started(entry: run.DaemonStartedEntry) -> str:
    adopted = entry.adopted_attempt
    if adopted:
        return f"A new daemon (pid {_said(entry.pid)}) took over attempt {adopted}, still running."
    return f"The daemon began (pid {_said(entry.pid)})."


def _attempt_started(entry: attempt.AttemptStartedEntry) -> str:
    how = "started warm" if entry.is_warm else "started"
    checkpoint = entry.checkpoint
    if not checkpoint and entry.resumes_by == "trainer":
        who = f"Attempt {entry.attempt} {how} (pid {_said(entry.pid)})"
        return f"{who}; it finds its checkpoint itself."
    if not checkpoint:
        return f"Attempt {entry.attempt} {how} from the beginning (pid {_said(entry.pid)})."
    step = checkpoint.step
    at = f" (step {count_text(step)})" if step is not None else ""
    name = _base(checkpoint.path)
    kept = ", the snapshot in memory" if checkpoint.tier == Tier.MEMORY else ""
    return f"Attempt {entry.attempt} {how} from {name}{at}{kept} (pid {_said(entry.pid)})."


def _first_step(entry: attempt.FirstStepEntry) -> str:
    step = f"step {count_text(entry.step)}" if entry.step is not None else "its first step"
    took = entry.startup_s
    after = f" after {format_duration(took)}" if took is not None else ""
    return f"Attempt {_said(entry.attempt)} reached {step}{after}."


def _ending(entry: attempt.AttemptEndedEntry) -> str:
    """`by SIGKILL`, `with exit code 1`."""
    number = entry.signal
    if number:
        try:
            return f"by {signal.Signals(int(number)).name}"
        except ValueError:
            return f"by signal {number}"
    code = entry.outcome if entry.outcome is not None else entry.code
    return f"with exit code {code}" if code is not None else "unseen"


def _attempt_ended(entry: attempt.AttemptEndedEntry) -> str:
    parts = [f"Attempt {_said(entry.attempt)} ended {_ending(entry)}"]
    if entry.step is not None:
        parts.append(f" at step {count_text(entry.step)}")
    if entry.duration_s is not None:
        parts.append(f", after {format_duration(entry.duration_s)}")
    if entry.stop_requested:
        saved = "saved" if entry.saved else "nothing new saved"
        parts.append(f", as asked ({saved})")
    elif entry.failure and entry.failure != Failure.COMPLETED:
        parts.append(f": {entry.failure}")
        where = f" in {entry.frame}" if entry.frame else ""
        if entry.exception:
            parts.append(f", {entry.exception}{where}")
    text = "".join(parts).rstrip(".") + "."
    # The reason says that no evidence explains the SIGKILL. But the supervisor sent it, when the
    # grace of the stop was over.
    is_known = entry.stop_requested and entry.signal == signal.SIGKILL
    text = f"{text} {_whole(entry.reason)}" if entry.reason and not is_known else text
    return f"{text} restart.exit_codes says {entry.exit_rule}." if entry.exit_rule else text


def _attempt_unwatched(entry: attempt.AttemptUnwatchedEntry) -> str:
    who = f"Attempt {_said(entry.attempt)}"
    at = f" (step {count_text(entry.step)})" if entry.step is not None else ""
    found = ", ".join(f"{one.comm}, pid {one.pid}" for one in entry.found)
    on = f"{who} went on without a supervisor ({found}){at}"
    match entry.how:
        case "gone":
            return f"{who} ended{at} while no supervisor watched. How it ended is not known."
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


def _checkpoint(entry: saves.CheckpointVerdictEntry) -> str:
    name = _base(entry.path)
    step = f"step {count_text(entry.step)}, " if entry.step is not None else ""
    kind = f"{entry.save_kind}, " if entry.save_kind else ""
    facts = f"({step}{kind}{size_text(entry.bytes)})"
    match entry.valid:
        case True:
            progress = "; durable progress" if entry.progress else ""
            return f"{name} {facts} is valid, proven by {entry.proof}{progress}."
        case False:
            return f"{name} {facts} is NOT valid: {entry.reason}."
        case _:
            return f"{name} {facts} was found."


def _checkpoint_removed(entry: saves.CheckpointRemovedEntry) -> str:
    to = f", moved to {entry.to}" if entry.to else ""
    verb = "was set aside" if entry.to else "was removed"
    reason = f" ({entry.reason})" if entry.reason else ""
    return f"{_base(entry.path)} {verb}: {entry.why}{reason}{to}."


def _pointer_set(entry: saves.PointerSetEntry) -> str:
    pointer, was = _base(entry.path), entry.was
    if entry.to is None:
        to = f", moved to {entry.place}" if entry.place else ""
        return f"The trainer's pointer {pointer} was set aside with {_base(was)}, its target{to}."
    return f"The trainer's pointer {pointer} names {entry.to} now: {was} was set aside."


def _decision(entry: decision.DecisionEntry) -> str:
    reason = f": {entry.reason}" if entry.reason else ""
    wait = entry.wait_s
    what: dict[str, str] = {
        RunState.BACKOFF: "Decided to wait"
        + (f" {format_duration(wait)} before the next attempt" if wait else ""),
        RunState.WAITING: "Decided to wait until the cause clears",
        RunState.HELD: "HELD, a human has to look",
        RunState.STUCK: "STUCK, a process survives SIGKILL",
        RunState.COMPLETED: "The run is finished",
        RunState.PREEMPTED: "The run ends for now",
        RunState.STOPPED: "The run is stopped",
    }
    said = what.get(str(entry.state), "Decided to launch the next attempt")
    return f"{said}{reason}."


def _incident(entry: run.IncidentEntry) -> str:
    done = f" Done: {entry.done}." if entry.done else ""
    folder = f" ({entry.folder})" if entry.folder else ""
    # An incident has no number where its folder could not be made.
    number = f" {entry.id}" if entry.id else ""
    return f"Incident{number}: {_whole(entry.what or entry.failure)}{done}{folder}"


def _ranks_gone(entry: attempt.RanksGoneEntry) -> str:
    how = "ended in order" if entry.ended_well else "ended without a word"
    return (
        f"Attempt {_said(entry.attempt)}: {_said(entry.ranks)} {how}; {_said(entry.main)} goes on."
    )


def _requeue(entry: run.RequeueEntry) -> str:
    what = {
        "ask": "is put into SLURM's queue again",
        "already": "is in SLURM's queue again already",
        "cancelled": "was cancelled, and is not requeued",
        "forbidden": "may not be requeued",
        "no_batch": "is no batch job, and cannot be requeued",
    }.get(str(entry.verdict), "is not requeued: SLURM did not say how the job is, or refused")
    return f"Job {entry.job} {what}."


def _told(entry: Entry) -> str | None:
    """The sentence; None for an unknown kind."""
    match entry:
        case run.RunCreatedEntry():
            return f"The run {_said(entry.name)!r} was created (id {_said(entry.run_id)})."
        case run.SupervisorStartedEntry():
            return _supervisor_started(entry)
        case run.DaemonStartedEntry():
            return _daemon_started(entry)
        case run.ReloadedEntry():
            return "The daemon was replaced on request."
        case attempt.AttemptStartedEntry():
            return _attempt_started(entry)
        case attempt.StartFailedEntry():
            return f"Attempt {entry.attempt} could not start: {entry.reason}."
        case attempt.LeftTrainingEntry():
            what = f"The main process of attempt {entry.attempt} exited with 0"
            return f"{what}, and what it left behind trains on ({_said(entry.sign)})."
        case attempt.FirstStepEntry():
            return _first_step(entry)
        case trainer.TrainerEntry():
            return trainer_sentence(entry)
        case attempt.AttemptEndedEntry():
            return _attempt_ended(entry)
        case attempt.ChangedEntry():
            return f"Attempt {entry.attempt}: {changed_text(entry)}."
        case attempt.AttemptUnwatchedEntry():
            return _attempt_unwatched(entry)
        case saves.CheckpointVerdictEntry():
            return _checkpoint(entry)
        case saves.CheckpointRemovedEntry():
            return _checkpoint_removed(entry)
        case saves.PointerSetEntry():
            return _pointer_set(entry)
        case saves.GoingBackEntry():
            names = ", ".join(_base(path) for path in entry.later)
            where = "on without them" if entry.step is None else f"back to step {entry.step}"
            return f"The run goes {where}; set aside: {names}."
        case decision.DecisionEntry():
            return _decision(entry)
        case run.IncidentEntry():
            return _incident(entry)
        case attempt.LookedEntry():
            verdict = "It is at work" if entry.is_work else "That is no proof of a hang"
            return f"Attempt {entry.attempt}: {entry.why}; {entry.seen}. {verdict}."
        case attempt.RanksGoneEntry():
            return _ranks_gone(entry)
        case decision.StopRequestedEntry():
            return f"A stop was asked for, by {entry.by.shown}."
        case decision.SuspendedEntry():
            return f"Everything stood still for {_said(entry.gap_s):.0f} s; the grace is longer."
        case run.RequeueEntry():
            return _requeue(entry)
        case decision.IntentEntry():
            return f"The operator now wants: {_said(entry.intent)}."
        case decision.BeginAgainEntry():
            return "The operator lets the run begin again, although its checkpoints are missing."
        case decision.ExistingDecidedEntry():
            return f"Decided at the start: {entry.choice} the checkpoints from before the run."
        case saves.SavesElsewhereEntry():
            return f"The supervisor sees no checkpoints: {_said(entry.advice)}."
        case resuming.NotResumedEntry():
            return f"The attempt was killed before its next save: {entry.reason}."
        case resuming.ResumeDoubtedEntry():
            return f"In doubt: {entry.reason}."
        case resuming.ResumeSeenEntry():
            return f"The steps of attempt {_said(entry.attempt)} show that it resumed."
        case decision.ResumedEntry():
            return "The operator resumed the run; its failure budgets start again from zero."
        case telling.HookFailedEntry(reason=text) | run.VariablesChangedEntry(text=text):
            return f"{text}."
        case run.TookOverEntry():
            run_dir = entry.run_dir
            who = "a mark that cannot be read" if run_dir is None else f"the run in {run_dir}"
            return f"The run took {entry.directory} over from {who}."
        case decision.ReopenedEntry():
            return "The finished run was reopened, to train on."
        case run.RecordRemadeEntry():
            return f"The run's record was removed, and made anew: {', '.join(entry.lost)}."
        case saves.SaveFailedEntry():
            return f"A save failed while training went on: {entry.line}"
        case run.SupervisorEndedEntry():
            why = f": {entry.reason}" if entry.reason else ""
            return f"The supervisor ended, {entry.state} (exit {entry.code}){why}."
        case _:
            return None
