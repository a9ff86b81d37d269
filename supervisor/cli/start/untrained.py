"""Whether nothing was ever trained under a run's name, so that a corrected line may have it.

All that is not known to be worthless counts as worth keeping. It writes nothing.
"""

import os
from pathlib import Path

from supervisor.checkpoint.pins import pinned
from supervisor.cli.record import read_history
from supervisor.cli.start.existing import existing_checkpoints
from supervisor.config.model import RunConfig
from supervisor.core.entries import attempt, decision, run, telling
from supervisor.core.entries.entry import Entry
from supervisor.core.rules.warm_launch import has_begun
from supervisor.core.vocabulary import Failure, Intent, RunState
from supervisor.errors import SupervisorError
from supervisor.rundir.intent import read_intent
from supervisor.rundir.lock import is_held
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.save_writers import recorded_times

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


def is_untrained(config: RunConfig) -> bool:
    """Whether each attempt of the run failed for its configuration, before a step or a save.

    Also true where the run has made no attempt. False where a supervisor has the run, a SLURM job
    was submitted for it, or an operator's `stop` or `hold` is in force. `config`: as loaded. Never
    raises.
    """
    resolved = config.resolved(Path.cwd())
    assert resolved.run_dir is not None
    paths = RunPaths(Path(resolved.run_dir))
    try:
        if is_held(paths) or read_intent(paths.intent).intent is not Intent.RUN:
            return False
        # A file that cannot be read may name a job that waits in the queue, too.
        if os.path.lexists(paths.submission):
            return False
        history, ledger = read_history(paths)
        if history.last_attempt_open or not all(_is_worthless(one.entry) for one in ledger):
            return False
        # A person has edited the file since the last attempt.
        ran = [
            one.entry.command
            for one in ledger
            if isinstance(one.entry, attempt.AttemptStartedEntry)
        ]
        if ran and tuple(ran[-1]) != tuple(resolved.command):
            return False
        if pinned(paths.pins) or next(iter(recorded_times(paths.run_dir)), None) is not None:
            return False
        directory = Path(resolved.checkpoints.directory or paths.run_dir)
        return not existing_checkpoints(directory, resolved.checkpoints.pattern)
    except (OSError, SupervisorError):
        return False


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
