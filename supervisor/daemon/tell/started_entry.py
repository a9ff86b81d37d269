"""The ledger's entry for the start of an attempt."""

from supervisor.config.model import RunConfig
from supervisor.core.entries.attempt import AttemptStartedEntry
from supervisor.core.states import Checkpoint
from supervisor.daemon.attempt import RunningAttempt


def started_entry(
    attempt: RunningAttempt, checkpoint: Checkpoint | None, config: RunConfig
) -> AttemptStartedEntry:
    """The ledger's entry for the start of an attempt, from `checkpoint` or from nothing."""
    return AttemptStartedEntry(
        attempt=attempt.number,
        pid=attempt.pid,
        start_ticks=attempt.main.start_ticks if attempt.main else None,
        command=tuple(config.command),
        checkpoint=None if checkpoint is None else checkpoint.as_source(),
        resumes_by=config.resume.by,
        log_offset=attempt.printed.offset,
        log_inode=attempt.printed.inode,
        launch="warm" if attempt.is_warm else "cold",
        why_cold=attempt.why_cold,
        moments=attempt.moments,
        cgroup=attempt.cgroup,
    )
