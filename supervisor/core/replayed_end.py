"""Replays the end of an attempt from the ledger into the history."""

from dataclasses import replace

from supervisor.core.ending import cut_off
from supervisor.core.entries.attempt import AttemptEndedEntry, StartFailedEntry
from supervisor.core.entries.entry import Stamped
from supervisor.core.history import History
from supervisor.core.job import IdleStops
from supervisor.core.look_facts import HungAt
from supervisor.core.measured_recovery import is_death
from supervisor.core.replayed_description import description_of, with_reached
from supervisor.core.rules.exit_codes import ExitRule
from supervisor.core.rules.outage import with_death
from supervisor.core.rules.patience import beyond, with_hang
from supervisor.core.rules.warm_launch import WarmTrust, has_begun, trust_after
from supervisor.core.states import Budget
from supervisor.core.vocabulary import Action, Failure


def with_end(past: History, noted: Stamped, entry: AttemptEndedEntry) -> History:
    """The history with an attempt's end."""
    reached = [s for s in (past.reached_step, entry.step) if s is not None]
    past = replace(
        past,
        ended_wall=noted.wall or None,
        ended_killed=cut_off(entry.signal, entry.code, entry.failure),
        ended_step=entry.step,
        doubt=entry.doubt,
        last_good=past.last_good.with_end(entry.step_s),
        deaths=past.deaths + is_death(entry),
        attempt=max(past.attempt, entry.attempt or 0),
        rollback=past.rollback or entry.action == Action.ROLLBACK,
        last_attempt_open=False,
        stop_by=None,
        stop_late=False,
        hung=None,
        hung_at=_hung_at(past, entry),
        not_resumed=None,
        ever_attached=past.ever_attached or bool(entry.attached),
        reached_step=max(reached, default=None),
        reached_trainings=with_reached(
            past.reached_trainings, description_of(past.described), entry.step
        ),
        failure=entry.failure,
        action=entry.action,
        reason=entry.reason or "",
        last_save_s=entry.last_save_s or past.last_save_s,
        budget=_with_free(_with_death(_with_stop(past.budget, entry), entry), entry),
        warm=_warm(past, noted, entry),
    )
    return charged(past, noted, entry)


def _with_stop(budget: Budget, entry: AttemptEndedEntry) -> Budget:
    """The budget with the count of jobs without progress that the entry recorded."""
    if entry.idle_progress is None:
        return budget
    return replace(budget, idle_stops=IdleStops(entry.idle_stops or 0, entry.idle_progress))


def _with_death(budget: Budget, entry: AttemptEndedEntry) -> Budget:
    """The budget with one more death in training, if the entry tells of one."""
    # Earlier versions did not say whether it died after its last step.
    trained = entry.ended_training if entry.has("ended_training") else entry.first_step
    if not entry.exception or not entry.charged or not trained:
        return budget
    known = with_death(budget.died_in_training, (entry.exception, entry.frame))
    return replace(budget, died_in_training=known)


def _with_free(budget: Budget, entry: AttemptEndedEntry) -> Budget:
    """The budget with the count of free ends that the entry recorded; 0 is left out on record."""
    if entry.exit_rule == ExitRule.FREE:
        # If only the log tells steps, progress before a free end refilled the budget, and no entry
        # but this one says so.
        budget = replace(
            budget,
            failures=budget.failures if entry.failures is None else entry.failures,
            repeats=entry.repeats or 0,
            signature=entry.signature,
            outages=entry.outages or 0,
            full_deaths=entry.full_deaths or 0,
        )
    is_counted = entry.charged or entry.free_restarts > 0
    return replace(budget, free_restarts=entry.free_restarts) if is_counted else budget


def _hung_at(past: History, entry: AttemptEndedEntry) -> HungAt | None:
    if entry.failure != Failure.HANG:
        return past.hung_at
    hung = with_hang(past.hung_at, past.begun_at if entry.step is None else entry.step)
    return beyond(hung, past.budget.progress_step, is_new=False)


def _warm(past: History, noted: Stamped, entry: AttemptEndedEntry) -> WarmTrust:
    began = has_begun(
        first_step_seen=bool(entry.first_step) or past.first_step_seen,
        attached=bool(entry.attached),
        step=entry.step,
        ran_s=0.0 if past.attempt_wall is None else noted.wall - past.attempt_wall,
    )
    asked = entry.stop_requested is not None
    return trust_after(past.warm, entry.action, began=began, was_asked=asked)


def charged(past: History, noted: Stamped, entry: AttemptEndedEntry | StartFailedEntry) -> History:
    """The history with the failure that an entry charges to the budget, if it charges one."""
    if not entry.charged:
        return past
    spent = replace(
        past.budget,
        failures=past.budget.failures + 1 if entry.failures is None else entry.failures,
        repeats=entry.repeats or 0,
        signature=entry.signature,
        progressed=False,
    )
    match entry:
        case AttemptEndedEntry(outages=int(outages), full_deaths=int(full_deaths)):
            spent = replace(spent, outages=outages, full_deaths=full_deaths)
    return replace(past, budget=spent, failed_at=(*past.failed_at, noted.moment(past.boot)))
