"""Where the run's time went, put on record."""

from dataclasses import fields

from supervisor.core.entries.run import TimeEntry
from supervisor.core.rules.goodput import spend
from supervisor.core.states import State
from supervisor.daemon.tell.journal import Journal
from supervisor.system.clock import monotonic_s


def record_account(journal: Journal, state: State) -> None:
    """Record the account up to now."""
    account = spend(state, monotonic_s()).account
    spent = {one.name: round(getattr(account, one.name), 3) for one in fields(account)}
    journal.record(TimeEntry(**spent))
