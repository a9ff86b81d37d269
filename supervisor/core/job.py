"""The scheduler's job that a run is in, as decisions see it: how long it has, and why it ends."""

from dataclasses import dataclass
from enum import StrEnum


class JobEnd(StrEnum):
    """Why the scheduler ends a job."""

    PREEMPTED = "preempted"
    TIME_LIMIT = "time_limit"
    CANCELLED = "cancelled"
    REQUEUED = "requeued"
    """An administrator, or the trainer itself, has requeued the job."""


IN_WORDS = {
    JobEnd.PREEMPTED: "SLURM preempts the job",
    JobEnd.TIME_LIMIT: "the job's time limit",
    JobEnd.CANCELLED: "the job was cancelled",
    JobEnd.REQUEUED: "the job was requeued",
}


@dataclass(frozen=True, slots=True)
class Job:
    """What the scheduler last said; times in monotonic seconds."""

    name: str
    """As `scontrol requeue` takes it."""
    end: JobEnd | None = None
    """Why it ends soon. None: nothing says that it does."""
    until: float | None = None
    """When everything in it is killed."""
    save_s: float | None = None
    """What the trainer's last save took, in seconds."""


@dataclass(frozen=True, slots=True)
class IdleStops:
    """How often in a row a job ended without durable progress since the end before it."""

    count: int = 0
    progress: tuple[int | None, float | None] = (None, None)
    """The budget's progress at the last end that was counted."""

    def counted(self, progress: tuple[int | None, float | None]) -> "IdleStops":
        """The count after one more end, at this `progress` (step, time)."""
        return IdleStops(self.count + 1 if progress == self.progress else 0, progress)
