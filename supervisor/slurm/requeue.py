"""The last thing a supervisor does in a job: have it requeued, and say what will happen next.

`scontrol requeue` ends the caller, so everything must be on the disk before it. SLURM does not
count it as a failure of the job. Merely exiting counts; after five failures SLURM holds the job.
"""

import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from supervisor.core.job import JobEnd
from supervisor.slurm.allocation import Allocation
from supervisor.slurm.controller import configuration, show_job
from supervisor.slurm.facts import Requeue, facts

ANSWER_S = 10.0
# How long a requeued job is kept from starting: the life of its old credential (slurm.conf(5)).
CREDENTIAL_S = 120.0


@dataclass(frozen=True, slots=True)
class RequeueResult:
    """What came of the requeue; `line` is for the job's log."""

    verdict: Requeue
    line: str
    is_requeued: bool


def plan(own: Allocation, said: JobEnd | None, wall: float) -> Requeue:
    """Ask the controller whether the job is to be requeued."""
    # Right after a requeue there is an instant in which the controller shows nothing.
    answer = show_job(own.name) or show_job(own.name)
    return facts(answer, own, wall=wall, kill_wait_s=None, said=said).requeue


def carry_out(
    own: Allocation, verdict: Requeue, script: str, order: Callable[[list[str]], str | None]
) -> RequeueResult:
    """Do what was planned. `script`: the command that submits a new job; `order` runs scontrol."""
    name = own.name
    match verdict:
        case Requeue.ASK:
            when = _when()  # asked first: after the order SLURM ends this process
            problem = order(["scontrol", "requeue", name])
            if problem is None:
                return RequeueResult(verdict, f"requeued as job {name}; {when}", True)
            if "pending" in problem.lower():
                return _already(name)
            line = (
                f"job {name} could not be requeued ({problem}); to do it by hand: scontrol requeue"
                f" {name}"
            )
            return RequeueResult(Requeue.UNKNOWN, line, False)
        case Requeue.ALREADY:
            return _already(name)
        case Requeue.CANCELLED:
            return RequeueResult(verdict, f"job {name} was cancelled, so it is not requeued", False)
        case Requeue.FORBIDDEN:
            line = (
                f"job {name} may not be requeued (--no-requeue, or the site's JobRequeue=0);"
                f" to go on: {script}; to have a job follow by itself next time:"
                f" sbatch --dependency=afterany:{own.job_id} SCRIPT"
            )
            return RequeueResult(verdict, line, False)
        case Requeue.NO_BATCH:
            line = f"job {name} is no batch job, so SLURM does not requeue it; to go on: {script}"
            return RequeueResult(verdict, line, False)
        case Requeue.UNKNOWN:
            line = (
                f"SLURM does not say what becomes of job {name}, so the job is not requeued;"
                f" to requeue it by hand: scontrol requeue {name}"
            )
            return RequeueResult(verdict, line, False)


def scontrol(words: list[str]) -> str | None:
    """Run a command; returns why it failed, None if it succeeded."""
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=ANSWER_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{type(error).__name__}: {error}"
    return None if done.returncode == 0 else (done.stderr.strip() or f"exit {done.returncode}")


def _already(name: str) -> RequeueResult:
    line = f"job {name} is requeued already; {_when()}"
    return RequeueResult(Requeue.ALREADY, line, True)


def _when() -> str:
    seconds = credential_s(configuration() or {})
    about = f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
    return f"SLURM may start it again in about {about}"


def credential_s(config: Mapping[str, str]) -> float:
    """The life of a job's credential in seconds, from `scontrol show config`."""
    found = re.search(r"cred_expire=(\d+)", config.get("AuthInfo", ""))
    return float(found[1]) if found else CREDENTIAL_S
