"""The ledger, summed up into the history that it tells."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from supervisor.core.history import History, Pause
from supervisor.core.job import IdleStops
from supervisor.core.moment import moment_of
from supervisor.core.parking import WarmTrust, launched_from, trust_at_first_step
from supervisor.core.patience import beyond
from supervisor.core.replayed_end import charged, with_end
from supervisor.core.states import Account, Checkpoint
from supervisor.core.step_counters import fold_counters
from supervisor.core.vocabulary import Action, Failure, Phase, RunState, StopSource, Tier


def fold(entries: Iterable[Mapping[str, Any]]) -> History:
    """The history that the entries tell; each entry carries `wall`, its time in seconds."""
    history = History()
    for entry in entries:
        history = fold_entry(history, entry)
        first, wall = history.first_attempt_wall, float(entry.get("wall", 0.0))
        if first is not None and 0.0 < wall < first:
            # The clock was set back: what is made from now on is no older than this.
            history = replace(history, first_attempt_wall=wall)
    return history


def fold_entry(past: History, entry: Mapping[str, Any]) -> History:
    """The history with one more entry."""
    wall = float(entry.get("wall", 0.0))
    match entry.get("type"):
        case "run_created":
            return replace(past, run_id=entry.get("run_id"), name=entry.get("name"))
        case "supervisor_started":
            boot = entry.get("boot_id") or past.boot
            counted = moment_of(entry, boot) if past.accounted is None else past.accounted
            return replace(
                past, ended_state=None, stop_by=None, stop_late=False, asked_by=None, hung=None,
                pause=None, supervisor_wall=wall, accounted=counted, boot=boot,
            )  # fmt: skip
        case "daemon_started":
            return replace(past, boot=entry.get("boot_id") or past.boot)
        case "supervisor_ended":
            at = moment_of(entry, past.boot)
            return replace(past, ended_state=entry.get("state"), accounted=at)
        case "attempt_started":
            first = past.first_attempt_wall
            is_fresh = entry.get("checkpoint") is None
            return replace(
                past,
                attempt=int(entry["attempt"]),
                first_attempt_wall=wall if first is None else first,
                begun_wall=wall if is_fresh else past.begun_wall,
                attempt_wall=wall,
                resumed_step=_further(past.resumed_step, entry.get("checkpoint")),
                resumed_from=_on_disk(entry.get("checkpoint")), not_resumed=None,
                source=_source(entry.get("checkpoint")),
                progress_before=(past.progress_step, past.progress_written),
                log_offset=entry.get("log_offset"),
                log_inode=entry.get("log_inode"),
                restarts=past.restarts + (1 if past.attempt else 0),
                launched=launched_from(entry, past.launched),
                last_attempt_open=True, end_told=False, first_step_seen=False, ended_wall=None,
                finished=False, ended_killed=True, ended_step=None, begin_again=False,
                unseen=past.unseen if is_fresh else None, rollback=False, back_to=None, held=None,
                stop_by=None, stop_late=False, hung=None, pause=None,
                begun_at=_begun_at(entry), ranks_gone=False,
            )  # fmt: skip
        case "stop_requested":
            by = StopSource(entry["by"])
            asked_by = past.asked_by if by is StopSource.INTENT else by
            if past.stop_by is None:  # another one who asks gives no more time
                past = replace(past, stop_at=moment_of(entry, past.boot), stop_excused_s=0.0)
                past = replace(past, stop_wall=float(entry.get("asked_wall") or wall))
            late = bool(entry.get("late"))
            return replace(past, stop_by=by, stop_late=late, asked_by=asked_by)
        case "suspended":
            excused_s = past.stop_excused_s + float(entry.get("gap_s") or 0.0)
            return replace(past, stop_excused_s=excused_s)
        case "intent" if entry.get("intent") == "run":
            return replace(past, pause=None)  # it ends a wait
        case "left_training":
            return replace(past, left_training=int(entry["attempt"]))
        case "hung":
            # Without its failure it was written by a daemon that ended nothing but hangs.
            return replace(
                past,
                hung=str(entry["reason"]),
                hung_as=Failure.read(entry.get("failure", Failure.HANG)),
            )
        case "ranks_gone":
            return replace(past, ranks_gone=True)
        case "not_resumed":
            return replace(past, not_resumed=str(entry["reason"]))
        case "resume_doubted":
            return replace(past, resume_doubt=str(entry["reason"]))
        case "resume_seen":
            return replace(past, resume_doubt=None)
        case "steps_began" | "steps_went_back" | "save_seen":
            return replace(past, counters=fold_counters(past.counters, entry))
        case "save_failed":
            return replace(past, failed_save_at=float(entry.get("failed_at") or wall))
        case "first_step":
            took_s = float(entry.get("startup_s") or 0.0)
            return replace(
                past, ever_attached=True, first_step_seen=True,
                learned=past.learned.with_seen(Phase.STARTUP, took_s),
                times=past.times.with_start(took_s, warm=entry.get("launch") == "warm"),
                warm=trust_at_first_step(past.warm),
            )  # fmt: skip
        case "parked":
            times = replace(past.times, park_s=entry.get("seconds"))
            return replace(past, times=times, rss_bytes=entry.get("rss_bytes"))
        case "attempt_unwatched":
            return replace(past, end_told=True)
        case "attempt_ended":
            return with_end(past, entry)
        case "progress":
            return replace(
                past,
                failures=0,
                signature=None,
                repeats=0,
                outages=0,
                full_deaths=0,
                progressed=True,
                progress_step=entry.get("step"),
                progress_written=entry.get("written"),
                hung_at=beyond(past.hung_at, entry.get("step"), is_new=True),
            )
        case "decision":
            return _with_decision(past, entry)
        case "start_failed":
            return charged(replace(past, last_attempt_open=False), entry)
        case "saves_elsewhere":
            return replace(past, unseen=str(entry.get("advice") or entry.get("directory")))
        case "checkpoint" if entry.get("valid") and entry.get("own_run", True):
            return replace(past, unseen=None)
        case "begin_again":
            # What was reached before is gone: steps count anew.
            return replace(
                past, begin_again=True, held=None, pause=None, failures=0, signature=None,
                repeats=0, outages=0, full_deaths=0, died_in_training=(), progress_step=None,
                progress_written=None, reached_step=None, doubt=None,
                rollback=False, back_to=None,
                resumed_step=max(past.resumed_step or 0, past.reached_step or 0) or None,
                counters=fold_counters(past.counters, entry), resume_doubt=None,
            )  # fmt: skip
        case "going_back":
            # Decided, once: a daemon that dies among the moves leaves the rest of them to the next.
            return replace(past, rollback=False, back_to=entry.get("step"))
        case "resumed":
            return replace(
                past, held=None, failures=0, failed_at=(), pause=None, signature=None, repeats=0,
                idle_stops=IdleStops(0, past.idle_stops.progress), hung_at=None,
                resume_doubt=None,
                resume_is_trusted=past.resume_is_trusted
                or (past.held is not None and past.held_for == Failure.RESUME_IGNORED),
                outages=0, full_deaths=0, died_in_training=(),
                last_intent_id=entry.get("intent_id"), warm=WarmTrust.TRUSTED,
            )  # fmt: skip
        case "reopened":
            return replace(past, finished=False, held=None, reopened=True)
        case "time":
            known = {f.name for f in fields(Account)}
            spent = {key: float(value) for key, value in entry.items() if key in known}
            return replace(past, account=Account(**spent), accounted=moment_of(entry, past.boot))
        case _:
            return past


def _source(checkpoint: Any) -> Checkpoint | None:
    """What an attempt was resumed from, as `attempt_started` has it."""
    if not isinstance(checkpoint, Mapping):
        return None
    return Checkpoint(
        str(checkpoint["path"]),
        checkpoint.get("step"),
        tier=Tier(checkpoint.get("tier") or Tier.DISK),
        proof=checkpoint.get("proof"),
    )


def _begun_at(entry: Mapping[str, Any]) -> int | None:
    checkpoint = entry.get("checkpoint")
    if isinstance(checkpoint, Mapping):
        step = checkpoint.get("step")
        return step if isinstance(step, int) else None
    return None if checkpoint is not None or entry.get("resumes_by") == "trainer" else 0


def _on_disk(checkpoint: Any) -> str | None:
    """The path of a checkpoint that tells its step and is on the disk."""
    if not isinstance(checkpoint, Mapping) or checkpoint.get("step") is None:
        return None
    return None if checkpoint.get("tier") == Tier.MEMORY else str(checkpoint.get("path"))


def _further(step: int | None, checkpoint: Any) -> int | None:
    """The higher of a step and a checkpoint's, as `attempt_started` has it."""
    found = checkpoint.get("step") if isinstance(checkpoint, Mapping) else None
    return max((known for known in (step, found) if known is not None), default=None)


def _with_decision(past: History, entry: Mapping[str, Any]) -> History:
    rollback = past.rollback or entry.get("action") == Action.ROLLBACK
    past = replace(past, rollback=rollback, pause=None)
    match entry.get("state"):
        case "backoff" | "waiting":
            pause = Pause(
                RunState(entry["state"]),
                moment_of(entry, past.boot),
                float(entry.get("wait_s") or 0.0),
                Failure.read(entry.get("failure")),
                Action.read(entry.get("action"), entry["state"]),
                str(entry.get("reason") or ""),
                entry.get("place"),
            )
            return replace(past, pause=pause)
        case "held" | "stuck":
            return replace(
                past, held=str(entry.get("reason")), held_for=Failure.read(entry.get("failure"))
            )
        case "completed":
            return replace(past, finished=True, reopened=False)
        case _:
            return past
