"""Whether nothing was ever trained under a run's name, so that a corrected line may have it.

All that is not known to be worthless counts as worth keeping. It writes nothing.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from supervisor.checkpoint.pins import pinned
from supervisor.cli.start.existing import existing_checkpoints
from supervisor.config.model import RunConfig
from supervisor.core.entries import attempt, decision, run, telling
from supervisor.core.entries.entry import Entry
from supervisor.core.replay import fold
from supervisor.core.rules.warm_launch import has_begun
from supervisor.core.vocabulary import Failure, Intent, RunState
from supervisor.errors import SupervisorError
from supervisor.rundir.intent import read_intent
from supervisor.rundir.ledger import read_ledger_report
from supervisor.rundir.ledger_entries import stamped
from supervisor.rundir.lock import is_held
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.status_file import read_status

_SAYS_NOTHING = (
    run.RunCreatedEntry,
    run.SupervisorStartedEntry,
    run.DaemonStartedEntry,
    run.SupervisorEndedEntry,
    run.TimeEntry,
    run.IncidentEntry,
    run.VariablesChangedEntry,
    telling.NotifiedEntry,
    attempt.StartFailedEntry,
    attempt.ChangedEntry,
    decision.IntentEntry,
    decision.ResumedEntry,
    decision.ExistingDecidedEntry,
)


def is_untrained(config: RunConfig, *, is_locked: bool = False) -> bool:
    """Whether each attempt of the run failed for its configuration, before a step or a save.

    Also true where the run has made no attempt. False where a supervisor has the run, a SLURM job
    was submitted for it, or an operator's `stop` or `hold` is in force. `config`: as loaded.
    `is_locked`: the caller holds the run's lock. Never raises.
    """
    resolved = config.resolved(Path.cwd())
    assert resolved.run_dir is not None
    paths = RunPaths(Path(resolved.run_dir))
    try:
        if not is_locked and is_held(paths):
            return False
        if read_intent(paths.intent).intent is not Intent.RUN:
            return False
        # A file that cannot be read may name a job that waits in the queue, too.
        if os.path.lexists(paths.submission):
            return False
        if not _is_record_worthless(paths, resolved.command) or _holds_something(paths):
            return False
        directory = Path(resolved.checkpoints.directory or paths.run_dir)
        return not existing_checkpoints(directory, resolved.checkpoints.pattern)
    except (OSError, SupervisorError):
        return False


def _is_record_worthless(paths: RunPaths, command: Sequence[str]) -> bool:
    """Whether ledger and status are whole, and tell of nothing that a run could lose."""
    records, damaged = read_ledger_report(paths.ledger)
    ledger = [stamped(record) for record in records]
    entries = [one.entry for one in ledger]
    if damaged or fold(ledger).last_attempt_open or not all(map(_is_worthless, entries)):
        return False
    is_begun = any(isinstance(entry, run.RunCreatedEntry) for entry in entries)
    left = (paths.status, paths.train_log, paths.incidents, paths.log, paths.surroundings)
    if not is_begun and any(map(os.path.lexists, left)):
        return False  # its ledger is gone
    # A person has edited the file since the last attempt.
    ran = [one.command for one in entries if isinstance(one, attempt.AttemptStartedEntry)]
    if ran and tuple(ran[-1]) != tuple(command):
        return False
    status = read_status(paths.status)
    if status is None:
        return not os.path.lexists(paths.status)
    counted = [
        one.attempt
        for one in entries
        if isinstance(one, attempt.AttemptStartedEntry | attempt.StartFailedEntry)
    ]
    shown = (status.step, status.checkpoint, status.snapshot)
    return shown == (None, None, None) and (status.attempt or 0) <= max(counted, default=0)


def _holds_something(paths: RunPaths) -> bool:
    """Whether the run directory has anything besides the supervisor's own files, or a save."""
    try:
        names = set(os.listdir(paths.run_dir))  # noqa: PTH208 - names, not paths
    except FileNotFoundError:
        return False
    ours = {"config.yaml", ".gitignore", paths.train_log.name, paths.state_dir.name}
    saves = (paths.trainings, paths.set_aside)
    return bool(names - ours or pinned(paths.pins)) or any(map(os.path.lexists, saves))


def _is_worthless(entry: Entry) -> bool:
    """Whether the entry tells of nothing that a run could lose."""
    match entry:
        case attempt.AttemptStartedEntry():
            return entry.checkpoint is None
        case attempt.AttemptEndedEntry():
            began = has_begun(
                first_step_seen=bool(entry.first_step),
                attached=False,  # an attached process that has shown no step may have saved
                step=entry.step,
                ran_s=float("inf") if entry.duration_s is None else entry.duration_s,
            )
            return entry.failure == Failure.CONFIGURATION and not began
        case decision.DecisionEntry():
            return entry.failure == Failure.CONFIGURATION and entry.state == RunState.HELD
        case _:
            return isinstance(entry, _SAYS_NOTHING)
