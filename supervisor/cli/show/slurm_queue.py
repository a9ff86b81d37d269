"""Finds the SLURM job that waits in the queue to go on with a run. It asks squeue, 2 s at most."""

from dataclasses import dataclass
from typing import Any

from supervisor.core.status import Status
from supervisor.core.vocabulary import RunState
from supervisor.rundir.paths import RunPaths
from supervisor.slurm.controller import WAITING, ask
from supervisor.slurm.submission import recall

# `status` has to be quick, and a busy controller answers late.
ANSWER_S = 2.0
_OVER = frozenset({RunState.COMPLETED, RunState.HELD, RunState.STUCK})
# squeue's words for a job's %r (squeue(1), JOB REASON CODES), for people.
_REASONS = {
    "Priority": "other jobs go first",
    "Resources": "for free nodes",
    "BeginTime": "not before its begin time",
    "Dependency": "for another job",
    "JobHeldUser": "held by its user (scontrol release)",
    "JobHeldAdmin": "held by the administrator",
    "JobArrayTaskLimit": "for the job before it in the chain",
}


@dataclass(frozen=True, slots=True)
class Queued:
    """A job in the queue. `starts`: squeue's local time; None where squeue gives none."""

    job_id: str
    state: str
    reason: str
    starts: str | None

    @property
    def text(self) -> str:
        """`job 1234 waits in the queue: other jobs go first; it may start 2026-01-02T03:04:05`."""
        why = _REASONS.get(self.reason, self.reason)
        when = f"; it may start {self.starts}" if self.starts else ""
        return f"job {self.job_id} waits in the queue: {why}{when}"

    def as_json(self) -> dict[str, Any]:
        """For `status --json`, under `slurm`."""
        return {"job_id": self.job_id, "queue_state": self.state, "queue_reason": self.reason}


def queued(paths: RunPaths, status: Status) -> Queued | None:
    """The job that waits to go on with the run; None where none is known.

    It is the job that was submitted last, or the job that the run had before, requeued.
    """
    if status.state in _OVER:
        return None
    last = recall(paths.submission)
    ran_as = status.slurm.job_id if status.slurm else None
    for job in dict.fromkeys([last.job_id if last else None, ran_as]):
        if job and (found := _look(job)) is not None:
            return found
    return None


def _look(job: str) -> Queued | None:
    words = ["squeue", "--noheader", "--states=all", "--format=%T|%r|%S", f"--jobs={job}"]
    for line in (ask(words, timeout_s=ANSWER_S) or "").splitlines():
        state, reason, starts = (*line.strip().split("|"), "", "")[:3]
        if state in WAITING:
            return Queued(job, state, reason, None if starts in ("", "N/A") else starts)
    return None
