"""What the end of an attempt leaves in the history, as the ledger tells it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from supervisor.core.ending import Doubt, cut_off
from supervisor.core.history import History
from supervisor.core.job import IdleStops
from supervisor.core.looks import HungAt
from supervisor.core.moment import moment_of
from supervisor.core.outage import with_death
from supervisor.core.parking import WarmTrust, has_begun, trust_after
from supervisor.core.patience import beyond, with_hang
from supervisor.core.vocabulary import Action, Failure


def with_end(past: History, entry: Mapping[str, Any]) -> History:
    """The history with an `attempt_ended`."""
    reached = [s for s in (past.reached_step, entry.get("step")) if s is not None]
    failure = Failure.read(entry.get("failure"))
    past = replace(
        past,
        ended_wall=float(entry.get("wall", 0.0)) or None,
        ended_killed=cut_off(entry.get("signal"), entry.get("code"), failure),
        ended_step=entry.get("step"),
        doubt=None if entry.get("doubt") is None else Doubt.from_json(entry["doubt"]),
        attempt=max(past.attempt, int(entry.get("attempt") or 0)),
        rollback=past.rollback or entry.get("action") == Action.ROLLBACK,
        last_attempt_open=False,
        stop_by=None,
        stop_late=False,
        hung=None,
        hung_at=_hung_at(past, entry),
        not_resumed=None,
        ever_attached=past.ever_attached or bool(entry.get("attached")),
        reached_step=max(reached, default=None),
        failure=failure,
        action=Action.read(entry.get("action")),
        reason=str(entry.get("reason") or ""),
        last_save_s=entry.get("last_save_s") or past.last_save_s,
        idle_stops=_idle_stops(past, entry),
        warm=_warm(past, entry),
    )
    return charged(_with_death(past, entry), entry)


def _with_death(past: History, entry: Mapping[str, Any]) -> History:
    """One more death of an attempt that had made steps, if it is one."""
    is_known = entry.get("exception") and entry.get("charged")
    if not is_known or not entry.get("ended_training", entry.get("first_step")):
        return past
    death = (str(entry["exception"]), entry.get("frame"))
    return replace(past, died_in_training=with_death(past.died_in_training, death))


def _hung_at(past: History, entry: Mapping[str, Any]) -> HungAt | None:
    if entry.get("failure") != Failure.HANG:
        return past.hung_at
    step = entry.get("step")
    hung = with_hang(past.hung_at, past.begun_at if step is None else step)
    return beyond(hung, past.progress_step, is_new=False)


def _warm(past: History, entry: Mapping[str, Any]) -> WarmTrust:
    wall = float(entry.get("wall", 0.0))
    began = has_begun(
        first_step_seen=bool(entry.get("first_step")) or past.first_step_seen,
        attached=bool(entry.get("attached")),
        step=entry.get("step"),
        ran_s=0.0 if past.attempt_wall is None else wall - past.attempt_wall,
    )
    asked = entry.get("stop_requested") is not None
    return trust_after(past.warm, Action.read(entry.get("action")), began=began, was_asked=asked)


def _idle_stops(past: History, entry: Mapping[str, Any]) -> IdleStops:
    progress = entry.get("idle_progress")
    if progress is None:
        return past.idle_stops
    return IdleStops(int(entry.get("idle_stops") or 0), (progress[0], progress[1]))


def charged(past: History, entry: Mapping[str, Any]) -> History:
    """The history with what an entry costs, if it does."""
    if not entry.get("charged"):
        return past
    signature = entry.get("signature")
    return replace(
        past,
        failures=int(entry.get("failures", past.failures + 1)),
        repeats=int(entry.get("repeats", 0)),
        outages=int(entry.get("outages", past.outages)),
        full_deaths=int(entry.get("full_deaths", past.full_deaths)),
        signature=(signature[0], signature[1], signature[2]) if signature else None,
        failed_at=(*past.failed_at, moment_of(entry, past.boot)),
        progressed=False,
    )
