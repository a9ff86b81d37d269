"""What the controller's answer means for the run: time left, why the job ends, may it be requeued.

Pure. The rules were observed on a real SLURM 22.05. While a job is COMPLETING, scontrol shows a
requeue by the raised `Restarts` and a time limit by its `Reason`. It shows no other reason.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from supervisor.core.job import JobEnd
from supervisor.slurm.allocation import Allocation
from supervisor.slurm.controller import WAITING

# sbatch's `--signal` may come minutes before the end, and nothing says how many.
NEAR_END_S = 1800.0
KILL_WAIT_S = 30.0
# Subtracted from KillWait: the signal, the bookkeeping and the exit take time too.
MARGIN_S = 2.0
_STOPPED = frozenset({"COMPLETING", "STAGE_OUT", "SIGNALING"})
_NONE = frozenset({"", "None", "Unknown", "N/A", "(null)"})


class Requeue(StrEnum):
    """What may be done about having the job requeued."""

    ASK = "ask"
    ALREADY = "already"
    CANCELLED = "cancelled"
    FORBIDDEN = "forbidden"
    NO_BATCH = "no_batch"
    """A job of salloc or srun: only a job that sbatch submitted can be requeued."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What is known of the job's end; times in seconds since 1970."""

    end: JobEnd | None
    requeue: Requeue
    ends_at: float | None = None
    """When the job's time limit is reached; None without a limit, or if not known."""
    killed_at: float | None = None


def facts(
    fields: Mapping[str, str] | None,
    own: Allocation,
    *,
    wall: float,
    kill_wait_s: float | None,
    said: JobEnd | None = None,
) -> JobFacts:
    """Read an answer of `scontrol show job`; `said` is what slurmstepd wrote (last_words)."""
    wait_s = (KILL_WAIT_S if kill_wait_s is None else kill_wait_s) - MARGIN_S
    if not fields or "JobState" not in fields:
        # Without an answer only slurmstepd's line tells: it is ending the job now.
        killed_at = None if said is None else wall + wait_s
        known = {JobEnd.CANCELLED: Requeue.CANCELLED, JobEnd.REQUEUED: Requeue.ALREADY}
        requeue = Requeue.UNKNOWN if said is None else known.get(said, Requeue.UNKNOWN)
        return JobFacts(said, requeue, killed_at=killed_at)
    state = fields["JobState"].split()[0].rstrip("+")
    end = said or _end(state, fields, own, wall)
    ends_at = moment(fields.get("EndTime", ""))
    killed_at = None if ends_at is None else ends_at + wait_s
    if said is not None or state in _STOPPED or state in WAITING:
        killed_at = wall + wait_s
    return JobFacts(end, _requeue(state, fields, own, end), ends_at, killed_at)


def _end(state: str, fields: Mapping[str, str], own: Allocation, wall: float) -> JobEnd | None:
    is_preempted = fields.get("PreemptTime", "") not in _NONE
    ends_at = moment(fields.get("EndTime", ""))
    match state:
        case "RUNNING" | "SUSPENDED" | "RESIZING":
            if is_preempted and _is_now(fields, own):
                return JobEnd.PREEMPTED
            is_near = ends_at is not None and ends_at - wall < NEAR_END_S
            return JobEnd.TIME_LIMIT if is_near else None
        case "TIMEOUT" | "DEADLINE":
            return JobEnd.TIME_LIMIT
        case "PREEMPTED" | "NODE_FAIL":
            return JobEnd.PREEMPTED
        case "CANCELLED":
            return JobEnd.CANCELLED
        case _ if state in WAITING or _restarts(fields) > own.restart_count:
            return JobEnd.PREEMPTED if is_preempted else JobEnd.REQUEUED
        case _ if fields.get("Reason") == "TimeLimit":
            return JobEnd.TIME_LIMIT
        case _:
            return JobEnd.CANCELLED


def _is_now(fields: Mapping[str, str], own: Allocation) -> bool:
    """Whether PreemptTime belongs to this start of the job; a requeue may leave an old time."""
    preempted, started = moment(fields.get("PreemptTime", "")), moment(fields.get("StartTime", ""))
    return preempted is not None and (started is None or preempted >= started)


def _requeue(state: str, fields: Mapping[str, str], own: Allocation, end: JobEnd | None) -> Requeue:
    if state in WAITING or _restarts(fields) > own.restart_count:
        return Requeue.ALREADY
    if end is JobEnd.CANCELLED:
        return Requeue.CANCELLED
    if fields.get("BatchFlag") == "0":
        return Requeue.NO_BATCH
    if fields.get("Requeue") == "0":
        return Requeue.FORBIDDEN
    return Requeue.ALREADY if end is JobEnd.REQUEUED else Requeue.ASK


def _restarts(fields: Mapping[str, str]) -> int:
    count = fields.get("Restarts", "")
    return int(count) if count.isdigit() else 0


def moment(text: str) -> float | None:
    """Seconds since 1970 of a time as scontrol prints it, local; None for Unknown and the like."""
    try:
        return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))
    except (ValueError, OverflowError):
        return None
