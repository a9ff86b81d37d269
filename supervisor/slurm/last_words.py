"""What slurmstepd wrote into the job's own log about why it ends the job.

The line is written before the SIGTERM that it announces, even while no controller answers. scontrol
prints only COMPLETING then, without the reason.
"""

import os
import re
import stat
import time

from supervisor.core.job import JobEnd

_TAIL_BYTES = 16 << 10
# slurmstepd-n1: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-25T03:00:56 DUE TO TIME LIMIT ***
_LINE = re.compile(
    r"^(?:slurmstepd\S*: )?error: \*\*\* JOB (?P<job>\d+) ON \S+ CANCELLED AT"
    r" (?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?: DUE TO (?P<why>[A-Za-z ]+?))? \*\*\*",
    re.MULTILINE,
)
_REASONS = {
    None: JobEnd.CANCELLED,
    "TIME LIMIT": JobEnd.TIME_LIMIT,
    "PREEMPTION": JobEnd.PREEMPTED,
    "JOB REQUEUE": JobEnd.REQUEUED,
    # The node fails: SLURM requeues the job by itself, as after a preemption.
    "NODE FAILURE": JobEnd.PREEMPTED,
}


def read(fd: int, job_id: str, since_wall: float) -> JobEnd | None:
    """Why slurmstepd ends this job, from the file behind `fd`; None where it has not said so.

    Lines from before `since_wall` (seconds since 1970) belong to earlier starts of the job.
    """
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        own = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        size = os.fstat(own).st_size
        data = os.pread(own, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
    except OSError:
        return None
    finally:
        os.close(own)
    return find(data.decode("utf-8", "replace"), job_id, since_wall)


def find(text: str, job_id: str, since_wall: float) -> JobEnd | None:
    """The reason in the text's last line on this job; None without such a line."""
    found = None
    for line in _LINE.finditer(text):
        at = time.mktime(time.strptime(line["at"], "%Y-%m-%dT%H:%M:%S"))
        # The line's time is cut to whole seconds.
        if line["job"] == job_id and at >= since_wall - 1.0:
            found = line
    return None if found is None else _REASONS.get(found["why"], JobEnd.CANCELLED)
