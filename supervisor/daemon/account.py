"""Where the run's time went, put on record."""

from supervisor.clock import monotonic_s
from supervisor.core.accounting import spend
from supervisor.core.states import State
from supervisor.daemon.journal import Journal


def record_account(journal: Journal, state: State) -> None:
    """Record the account up to now."""
    account = spend(state, monotonic_s()).account
    journal.record(
        {
            "type": "time",
            "launching_s": round(account.launching_s, 3),
            "training_s": round(account.training_s, 3),
            "saving_s": round(account.saving_s, 3),
            "replaying_s": round(account.replaying_s, 3),
            "waiting_s": round(account.waiting_s, 3),
            "down_s": round(account.down_s, 3),
            "unknown_s": round(account.unknown_s, 3),
        }
    )
