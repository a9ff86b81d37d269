"""Which job this process is in, from the environment that slurmstepd set (sbatch(1))."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Allocation:
    """One job, or one task of an array."""

    job_id: str
    name: str
    """The name for `scontrol requeue`; in an array it names this task alone."""
    restart_count: int = 0
    partition: str | None = None
    array_task: str | None = None


def allocation(environ: Mapping[str, str]) -> Allocation | None:
    """The job that these variables tell of; None outside of one."""
    job_id = environ.get("SLURM_JOB_ID", "")
    if not job_id.isdigit():
        return None
    array, task = environ.get("SLURM_ARRAY_JOB_ID"), environ.get("SLURM_ARRAY_TASK_ID")
    # Unset on the job's first start.
    count = environ.get("SLURM_RESTART_COUNT", "")
    return Allocation(
        job_id,
        f"{array}_{task}" if array and task else job_id,
        int(count) if count.isdigit() else 0,
        environ.get("SLURM_JOB_PARTITION"),
        task if array else None,
    )
