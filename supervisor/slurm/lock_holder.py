"""What SLURM knows of a lock's holders: this process's job, and whether another job is over."""

import os

from supervisor.slurm.allocation import allocation
from supervisor.slurm.controller import OVER, queue_state


class SlurmJobs:
    """A `supervisor.rundir.lock.Jobs`, asked of the environment and of the controller."""

    def own(self) -> tuple[str, int] | None:
        """The job of this process and how often it was requeued; None outside of a job."""
        here = allocation(os.environ)
        return None if here is None else (here.job_id, here.restart_count)

    def is_over(self, job: str) -> bool:
        """Whether the controller says that the job is over; False without an answer."""
        state = queue_state(job)
        return state is not None and (state == "" or state in OVER)
