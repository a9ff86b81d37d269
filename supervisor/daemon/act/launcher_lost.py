"""What the daemon takes over when its launcher was killed: the attempt, and the run's lock."""

import os
from pathlib import Path

from supervisor.core.vocabulary import ExitCode
from supervisor.daemon.act.orphan import OrphanedAttempt
from supervisor.daemon.act.record_guard import is_removed
from supervisor.daemon.attempt import RunningAttempt
from supervisor.daemon.run import Run
from supervisor.errors import SupervisorError
from supervisor.launcher.relock import relock
from supervisor.rundir.lock import RunLock
from supervisor.slurm.lock_holder import SlurmJobs


def orphan_of(run_id: str, number: int, attempt: RunningAttempt | None) -> OrphanedAttempt:
    """The dead launcher's stand-in, for the attempt that it left running."""
    main = attempt.main if attempt is not None else None
    folder = attempt.heartbeat_dir if attempt is not None else Path(os.devnull)
    cgroup = attempt.cgroup if attempt is not None else None
    return OrphanedAttempt(run_id, number, main, folder, cgroup=cgroup)


def take_lock(run: Run, lock_fd: int, launcher_pid: int | None) -> RunLock:
    """The run's lock, now this daemon's own.

    Raises SystemExit where another supervisor has the run by now: two must not write one record.
    """
    try:
        if lock_fd < 0 or launcher_pid is None:
            return RunLock.acquire(run.paths, jobs=SlurmJobs())
        if is_removed(lock_fd, run.paths.lock):
            # The lock file was removed, and the launcher died before it could make it anew.
            relock(str(run.paths.lock), lock_fd)
        return RunLock.take_over(run.paths, lock_fd, launcher_pid, SlurmJobs())
    except SupervisorError as error:
        run.journal.log.error("lock_not_taken", error=error.message)
        raise SystemExit(error.code) from None
    except OSError as error:
        run.journal.log.error("lock_not_taken", error=str(error))
        raise SystemExit(ExitCode.LOCKED) from None
