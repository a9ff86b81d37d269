"""slurmstepd's line in the job's log: which job, since when, and why it ends."""

import os
import time
from pathlib import Path

import pytest

from supervisor.core.job import JobEnd
from supervisor.slurm.last_words import find, read

AT = time.mktime((2026, 11, 25, 3, 0, 56, 0, 0, -1))


def line(why: str = "", job: str = "7", at: str = "2026-11-25T03:00:56") -> str:
    """A line as slurmstepd writes it."""
    return f"slurmstepd-n1: error: *** JOB {job} ON n1 CANCELLED AT {at}{why} ***\n"


@pytest.mark.parametrize(
    ("why", "end"),
    [
        ("", JobEnd.CANCELLED),
        (" DUE TO TIME LIMIT", JobEnd.TIME_LIMIT),
        (" DUE TO PREEMPTION", JobEnd.PREEMPTED),
        (" DUE TO JOB REQUEUE", JobEnd.REQUEUED),
        (" DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS", None),
        (" DUE TO NODE FAILURE", JobEnd.PREEMPTED),
    ],
)
def test_reasons(why: str, end: JobEnd | None) -> None:
    """Each known reason has a JobEnd; a line of another shape is not guessed at."""
    assert find("step 40\n" + line(why) + "step 41\n", "7", AT - 60) is end


def test_only_this_start_of_this_job() -> None:
    """A requeue appends to the log, and other jobs may print into it."""
    assert find(line(), "7", AT + 5) is None
    assert find(line(job="8"), "7", AT - 60) is None
    assert find(line(at="2026-11-25T02:00:00") + line(" DUE TO PREEMPTION"), "7", AT - 1) is (
        JobEnd.PREEMPTED
    )


def test_a_trainer_cannot_fake_it_within_a_line() -> None:
    """Only a whole line counts, so a trainer cannot fake the reason within a line."""
    assert find("it said: " + line(), "7", AT - 60) is None


def test_from_a_descriptor(tmp_path: Path) -> None:
    """A file that is open only for appending is read; a pipe tells nothing."""
    path = tmp_path / "slurm-7.out"
    path.write_text("x" * 100_000 + "\n" + line(" DUE TO TIME LIMIT"))
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    reader, writer = os.pipe()
    try:
        assert read(fd, "7", AT - 60) is JobEnd.TIME_LIMIT
        assert read(writer, "7", AT - 60) is None
    finally:
        for one in (fd, reader, writer):
            os.close(one)
