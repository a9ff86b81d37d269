"""What a run has behind it, folded from its ledger: budgets and verdicts survive the daemon."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from supervisor.core.states import Account, Budget, Learned, Phase, Policy, State

_IDLE_AFTER = frozenset({"stopped", "held", "stuck", "completed"})


@dataclass(frozen=True, slots=True)
class History:
    """The ledger's sum; wall times in seconds since 1970."""

    run_id: str | None = None
    name: str | None = None
    attempt: int = 0
    first_attempt_wall: float | None = None
    failures: int = 0
    failure_walls: tuple[float, ...] = ()
    signature: tuple[str, str | None, int | None] | None = None
    repeats: int = 0
    progress_step: int | None = None
    progress_written: float | None = None
    progressed: bool = False
    ever_attached: bool = False
    reached_step: int | None = None
    rollback: bool = False
    reopened: bool = False
    held: str | None = None
    finished: bool = False
    last_intent_id: str | None = None
    learned: Learned = field(default_factory=Learned)
    account: Account = field(default_factory=Account)
    accounted_wall: float | None = None
    """Up to when `account` counts; what came after was spent with nobody counting."""
    ended_state: str | None = None
    """How the last supervisor ended; None while one runs, or where it was killed."""
    restarts: int = 0
    log_offset: int | None = None
    """Where the last attempt's lines begin in train.log."""
    last_attempt_open: bool = False
    """The last attempt's end is not on record."""
    failure: str | None = None
    action: str | None = None
    reason: str = ""
    supervisor_wall: float | None = None
    """When the last supervisor began."""
    first_step_seen: bool = False
    """The last attempt's first step is on record."""
    last_save_s: float | None = None
    stop_by: str | None = None
    """Who asked the last attempt to stop; None where nobody did, or its end is on record."""
    stop_late: bool = False
    """That stop came when the attempt had ended by itself."""
    hung: str | None = None
    """Why the last attempt was being ended as hung."""
    failed_save_at: float = 0.0
    """When the last failed save on record failed."""


def fold(entries: Iterable[Mapping[str, Any]]) -> History:
    """The history that the entries tell; each entry carries `wall`, its time in seconds."""
    history = History()
    for entry in entries:
        history = _with(history, entry)
        first, wall = history.first_attempt_wall, float(entry.get("wall", 0.0))
        if first is not None and 0.0 < wall < first:
            # The clock was set back: what is made from now on is no older than this.
            history = replace(history, first_attempt_wall=wall)
    return history


def _with(past: History, entry: Mapping[str, Any]) -> History:
    wall = float(entry.get("wall", 0.0))
    match entry.get("type"):
        case "run_created":
            return replace(past, run_id=entry.get("run_id"), name=entry.get("name"))
        case "supervisor_started":
            counted = wall if past.accounted_wall is None else past.accounted_wall
            return replace(
                past, ended_state=None, stop_by=None, stop_late=False, hung=None,
                supervisor_wall=wall, accounted_wall=counted,
            )  # fmt: skip
        case "supervisor_ended":
            return replace(past, ended_state=entry.get("state"), accounted_wall=wall)
        case "attempt_started":
            first = past.first_attempt_wall
            return replace(
                past,
                attempt=int(entry["attempt"]),
                first_attempt_wall=wall if first is None else first,
                rollback=False,
                held=None,
                finished=False,
                last_attempt_open=True,
                first_step_seen=False,
                log_offset=entry.get("log_offset"),
                restarts=past.restarts + (1 if past.attempt else 0),
                stop_by=None,
                stop_late=False,
                hung=None,
            )
        case "stop_requested":
            return replace(past, stop_by=str(entry["by"]), stop_late=bool(entry.get("late")))
        case "hung":
            return replace(past, hung=str(entry["reason"]))
        case "save_failed":
            return replace(past, failed_save_at=float(entry.get("failed_at") or wall))
        case "first_step":
            seen = past.learned.with_seen(Phase.STARTUP, float(entry.get("startup_s") or 0.0))
            return replace(past, ever_attached=True, learned=seen, first_step_seen=True)
        case "attempt_ended":
            return _with_end(past, entry, wall)
        case "progress":
            return replace(
                past,
                failures=0,
                signature=None,
                repeats=0,
                progressed=True,
                progress_step=entry.get("step"),
                progress_written=entry.get("written"),
            )
        case "decision":
            return _with_decision(past, entry)
        case "start_failed":
            return _charged(replace(past, last_attempt_open=False), entry, wall)
        case "checkpoint_removed":
            # The rollback is done: what it took back is set aside.
            done = entry.get("why") == "superseded"
            return replace(past, rollback=past.rollback and not done)
        case "resumed":
            return replace(
                past, held=None, failures=0, failure_walls=(), signature=None, repeats=0,
                last_intent_id=entry.get("intent_id"),
            )  # fmt: skip
        case "reopened":
            return replace(past, finished=False, held=None, reopened=True)
        case "time":
            known = {f.name for f in fields(Account)}
            spent = {key: float(value) for key, value in entry.items() if key in known}
            return replace(past, account=Account(**spent), accounted_wall=wall)
        case _:
            return past


def _with_end(past: History, entry: Mapping[str, Any], wall: float) -> History:
    reached = [s for s in (past.reached_step, entry.get("step")) if s is not None]
    past = replace(
        past,
        attempt=max(past.attempt, int(entry.get("attempt") or 0)),
        rollback=past.rollback or entry.get("action") == "rollback",
        last_attempt_open=False,
        stop_by=None,
        stop_late=False,
        hung=None,
        ever_attached=past.ever_attached or bool(entry.get("attached")),
        reached_step=max(reached, default=None),
        failure=entry.get("failure"),
        action=entry.get("action"),
        reason=str(entry.get("reason") or ""),
        last_save_s=entry.get("last_save_s") or past.last_save_s,
    )
    return _charged(past, entry, wall)


def _charged(past: History, entry: Mapping[str, Any], wall: float) -> History:
    if not entry.get("charged"):
        return past
    signature = entry.get("signature")
    return replace(
        past,
        failures=int(entry.get("failures", past.failures + 1)),
        repeats=int(entry.get("repeats", 0)),
        signature=(signature[0], signature[1], signature[2]) if signature else None,
        failure_walls=(*past.failure_walls, wall),
        progressed=False,
    )


def _with_decision(past: History, entry: Mapping[str, Any]) -> History:
    past = replace(past, rollback=past.rollback or entry.get("action") == "rollback")
    match entry.get("state"):
        case "held" | "stuck":
            return replace(past, held=str(entry.get("reason")))
        case "completed":
            return replace(past, finished=True, reopened=False)
        case _:
            return past


def initial_state(
    past: History, policy: Policy, *, now: float, wall: float, alive: bool = False
) -> State:
    """The state to begin from, at monotonic `now` and wall time `wall`.

    Failures keep their age by the wall clock; where that clock jumped forward beyond them they
    count as of now, so that a jump never refills a budget. `alive`: an attempt runs on.
    """
    recent = tuple(now - max(wall - failed, 0.0) for failed in past.failure_walls)
    account = past.account
    if past.accounted_wall is not None and past.ended_state not in _IDLE_AFTER:
        unseen = max(wall - past.accounted_wall, 0.0)
        if alive:  # Training went on without a daemon.
            account = replace(account, training_s=account.training_s + unseen)
        else:
            account = replace(account, down_s=account.down_s + unseen)
    return State(
        policy=policy,
        attempt=past.attempt,
        budget=Budget(
            failures=past.failures,
            recent=recent,
            signature=past.signature,
            repeats=past.repeats,
            progress_step=past.progress_step,
            progress_written=past.progress_written,
            progressed=past.progressed,
        ),
        learned=past.learned,
        account=account,
        ever_attached=past.ever_attached,
        reopened=past.reopened,
        rollback=past.rollback,
        reached_step=past.reached_step,
        reached_before=past.reached_step,
        failure=past.failure,
        action=past.action,
        reason=past.reason,
        at=now,
    )
