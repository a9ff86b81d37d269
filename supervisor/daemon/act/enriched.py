"""Adds to a ledger entry what only the daemon knows of it: measured times, and other files."""

from dataclasses import replace
from pathlib import Path

from supervisor.core.entries.attempt import AttemptEndedEntry
from supervisor.core.entries.decision import DecisionEntry
from supervisor.core.entries.entry import Entry
from supervisor.core.rules.goodput import goodput
from supervisor.core.states import State
from supervisor.daemon.attempt import RunningAttempt
from supervisor.daemon.tell.status import finite
from supervisor.rundir.intent import last_intent_id
from supervisor.system.clock import monotonic_s


def enriched(entry: Entry, state: State, attempt: RunningAttempt | None, intent: Path) -> Entry:
    """Return the entry as it is recorded. `attempt` runs, or has just ended."""
    match entry:
        case AttemptEndedEntry() if attempt is not None:
            ran_s = round(monotonic_s() - attempt.started_at, 3)
            step_s = attempt.step_time.typical_s
            return entry.with_course(ran_s, attempt.last_save_s, finite(attempt.last_loss), step_s)
        case DecisionEntry():
            # A later `resume` is known by another id, not by its time: clocks may be set back.
            return replace(entry, goodput=goodput(state.account), intent_id=last_intent_id(intent))
        case _:
            return entry
