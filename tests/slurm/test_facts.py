"""The meaning of the controller's answers; each is a shortened answer of SLURM 22.05."""

import time

import pytest

from supervisor.core.job import JobEnd
from supervisor.slurm.allocation import Allocation, allocation
from supervisor.slurm.controller import fields
from supervisor.slurm.facts import JobFacts, Requeue, facts, moment

NOW = time.mktime((2026, 11, 25, 3, 3, 7, 0, 0, -1))
OWN = Allocation("17", "17")


def read(line: str, *, own: Allocation = OWN, said: JobEnd | None = None) -> JobFacts:
    """The facts of one answer, with KillWait at 10 s."""
    return facts(fields(line), own, wall=NOW, kill_wait_s=10.0, said=said)


RUNNING = "JobId=17 JobState=RUNNING Reason=None Requeue=1 Restarts=0"
COMPLETING = "JobId=17 JobState=COMPLETING Reason=None Requeue=1 Restarts=0"


@pytest.mark.parametrize(
    ("line", "end", "requeue"),
    [
        (f"{RUNNING} EndTime=2027-11-25T03:03:03 PreemptTime=None", None, Requeue.ASK),
        (f"{RUNNING} EndTime=Unknown", None, Requeue.ASK),
        (f"{RUNNING} EndTime=2026-11-25T03:10:00", JobEnd.TIME_LIMIT, Requeue.ASK),
        (
            f"{RUNNING} StartTime=2026-11-25T03:00:00 EndTime=2026-11-25T03:03:17"
            " PreemptTime=2026-11-25T03:03:07",
            JobEnd.PREEMPTED,
            Requeue.ASK,
        ),
        (  # that preemption was of an earlier start
            f"{RUNNING} StartTime=2026-11-25T03:03:00 EndTime=Unknown"
            " PreemptTime=2026-11-25T02:00:00",
            None,
            Requeue.ASK,
        ),
        (f"{COMPLETING} EndTime=2026-11-25T03:03:06", JobEnd.CANCELLED, Requeue.CANCELLED),
        (
            COMPLETING.replace("Reason=None", "Reason=TimeLimit") + " EndTime=2026-11-25T03:03:06",
            JobEnd.TIME_LIMIT,
            Requeue.ASK,
        ),
        (
            COMPLETING.replace("Restarts=0", "Restarts=1") + " EndTime=Unknown",
            JobEnd.REQUEUED,
            Requeue.ALREADY,
        ),
        ("JobId=17 JobState=PENDING Requeue=1 Restarts=1", JobEnd.REQUEUED, Requeue.ALREADY),
        ("JobId=17 JobState=TIMEOUT Requeue=1 Restarts=0", JobEnd.TIME_LIMIT, Requeue.ASK),
        ("JobId=17 JobState=CANCELLED+ Requeue=1", JobEnd.CANCELLED, Requeue.CANCELLED),
        ("JobId=17 JobState=NODE_FAIL Requeue=1", JobEnd.PREEMPTED, Requeue.ASK),
        (RUNNING.replace("Requeue=1", "Requeue=0"), None, Requeue.FORBIDDEN),
        (f"{RUNNING} BatchFlag=0", None, Requeue.NO_BATCH),
        (f"{RUNNING} BatchFlag=1", None, Requeue.ASK),
    ],
)
def test_states(line: str, end: JobEnd | None, requeue: Requeue) -> None:
    """Each observed state shows why a job ends, and whether to requeue it."""
    found = read(line)
    assert (found.end, found.requeue) == (end, requeue)


def test_what_slurmstepd_wrote_outranks_the_controller() -> None:
    """COMPLETING hides the reason; slurmstepd's line in the job's log has it."""
    preempted = read(COMPLETING.replace("Restarts=0", "Restarts=1"), said=JobEnd.PREEMPTED)
    assert (preempted.end, preempted.requeue) == (JobEnd.PREEMPTED, Requeue.ALREADY)
    limit = read(COMPLETING, said=JobEnd.TIME_LIMIT)
    assert (limit.end, limit.requeue) == (JobEnd.TIME_LIMIT, Requeue.ASK)


@pytest.mark.parametrize("answer", [None, {}])
def test_no_answer_is_unknown(answer: dict[str, str] | None) -> None:
    """Without an answer the job is not requeued, and not called failed either."""
    found = facts(answer, OWN, wall=NOW, kill_wait_s=None)
    assert found == JobFacts(None, Requeue.UNKNOWN)
    said = facts(answer, OWN, wall=NOW, kill_wait_s=10.0, said=JobEnd.CANCELLED)
    assert (said.end, said.requeue, said.killed_at) == (
        JobEnd.CANCELLED, Requeue.CANCELLED, NOW + 8.0,
    )  # fmt: skip


def test_a_restarted_job_is_not_taken_for_a_requeued_one() -> None:
    """`Restarts` is compared with the count that this start of the job was given."""
    again = Allocation("17", "17", restart_count=1)
    found = read(COMPLETING.replace("Restarts=0", "Restarts=1"), own=again)
    assert found.requeue is Requeue.CANCELLED


def test_time_left() -> None:
    """The job runs until EndTime; KillWait later everything is killed."""
    running = read(f"{RUNNING} EndTime=2026-11-25T03:03:17 PreemptTime=2026-11-25T03:03:07")
    assert running.ends_at == NOW + 10
    assert running.killed_at == NOW + 10 + 8
    assert read(f"{COMPLETING} EndTime=2026-11-25T03:03:06").killed_at == NOW + 8
    assert read(f"{RUNNING} EndTime=Unknown").killed_at is None


def test_moments() -> None:
    """Times are local; text without a time gives None."""
    assert moment("2026-11-25T03:03:07") == NOW
    assert [moment(text) for text in ("Unknown", "None", "", "N/A")] == [None] * 4


def test_the_allocation() -> None:
    """An array's task is named so that only it is requeued; outside a job, None."""
    assert allocation({}) is None
    assert allocation({"SLURM_JOB_ID": "17", "SLURM_JOB_PARTITION": "low"}) == Allocation(
        "17", "17", 0, "low", None
    )
    task = allocation(
        {
            "SLURM_JOB_ID": "19", "SLURM_ARRAY_JOB_ID": "18", "SLURM_ARRAY_TASK_ID": "3",
            "SLURM_RESTART_COUNT": "2",
        }
    )  # fmt: skip
    assert task == Allocation("19", "18_3", 2, None, "3")
