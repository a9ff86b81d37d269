"""Diagnoses a log file of any size, for `supervisor diagnose LOGFILE`; it decides nothing."""

import os
from pathlib import Path

from supervisor.diagnosis.diagnose import diagnose
from supervisor.diagnosis.failure import Diagnosis, ExitEvidence
from supervisor.diagnosis.log_line import clean
from supervisor.diagnosis.log_window import read_window
from supervisor.diagnosis.steps_after import shows_steps
from supervisor.diagnosis.user_rules import NO_RULES, UserRules


def diagnose_file(
    path: Path,
    *,
    offset: int = 0,
    code: int | None = None,
    signal: int | None = None,
    first_step_seen: bool | None = None,
    rules: UserRules = NO_RULES,
) -> Diagnosis:
    """Diagnose the log in `path` from byte `offset` on; `code` and `signal` are the exit, if known.

    Without `first_step_seen` the log says whether a first step was made. `rules`: the
    user's own. Raises OSError.
    """
    with path.open("rb") as file:
        fd = file.fileno()
        size = os.fstat(fd).st_size
        window = read_window(lambda at, count: os.pread(fd, count, at), offset, size)
    seen = first_step_seen
    if seen is None:
        seen = shows_steps([clean(line) for line in window.lines])
    return diagnose(
        ExitEvidence(
            code,
            signal,
            window.lines,
            first_step_seen=seen,
            step=window.step,
            lines_from_start=window.from_start,
        ),
        rules,
    )
