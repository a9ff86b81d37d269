"""Which job was submitted for a run, in one file: `status` can then say that the job waits."""

import json
from dataclasses import dataclass
from pathlib import Path

from supervisor.system.clock import rfc3339, wall_s
from supervisor.system.durable import write_durably
from supervisor.system.small_file import read_small_file


@dataclass(frozen=True, slots=True)
class Submission:
    """One job; `cluster` is set where sbatch named one (several clusters in one federation)."""

    job_id: str
    submitted_at: str
    cluster: str | None = None


def remember(path: Path, job_id: str, cluster: str | None) -> Submission:
    """Write down a job that was just submitted. Raises OSError."""
    submission = Submission(job_id, rfc3339(wall_s()), cluster)
    body = {
        "job_id": submission.job_id,
        "submitted_at": submission.submitted_at,
        "cluster": submission.cluster,
    }
    write_durably(path, json.dumps(body).encode() + b"\n")
    return submission


def recall(path: Path) -> Submission | None:
    """The job that was submitted last; None if there is none, or the file is unreadable."""
    try:
        body = json.loads(read_small_file(path))
        cluster = body.get("cluster")
        return Submission(
            str(body["job_id"]), str(body["submitted_at"]), str(cluster) if cluster else None
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
