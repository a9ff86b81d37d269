"""Writes the status where people and programs read it."""

import errno

from supervisor.core.status import Status
from supervisor.daemon.run import Run
from supervisor.rundir.status_file import write_status


def write_shown(run: Run, status: Status) -> None:
    """Write status.json; a disk that refuses costs the display, never the run."""
    for _ in range(2):
        try:
            write_status(run.paths.status, status)
        except OSError as error:
            run.journal.log.warning("status_not_written", error=str(error))
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            if is_full and run.journal.ledger.release_reserve():
                continue
        return
