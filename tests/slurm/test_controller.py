"""The output of SLURM's commands, as values; and what follows when none answers."""

from pathlib import Path

import pytest

from supervisor.slurm.controller import (
    configuration,
    duration_s,
    fields,
    limit_s,
    queue_state,
    show_job,
)

JOB = (
    "JobId=12 JobName=a b c UserId=me(1000) JobState=RUNNING Reason=None Requeue=1 Restarts=2 "
    "TimeLimit=1-00:10:00 AllocNode:Sid=login:77 CPUs/Task=1 Command=/home/me/my run.sh --x=1 y "
    "WorkDir=/home/me Comment=step=3 Power=\n"
)


def test_fields_of_a_job() -> None:
    """A value with spaces ends where the next key begins; empty values are empty."""
    found = fields(JOB)
    assert found["JobName"] == "a b c"
    assert found["AllocNode:Sid"] == "login:77"
    assert found["CPUs/Task"] == "1"
    assert found["Power"] == ""
    assert found["Restarts"] == "2"


def test_a_command_line_is_no_field() -> None:
    """`key=value` words in the user's command do not overwrite SLURM's fields."""
    found = fields(
        "JobId=12 JobState=RUNNING Restarts=2 Command=/r.sh JobState=CANCELLED Restarts=9"
    )
    assert (found["JobState"], found["Restarts"]) == ("RUNNING", "2")


def test_what_users_set_for_their_eyes_is_left_out(
    commands: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times have the expected form, whatever SLURM_TIME_FORMAT says."""
    (commands / "scontrol").write_text(
        '#!/bin/sh\necho "JobId=12 EndTime=$SLURM_TIME_FORMAT Reason=${SQUEUE_FORMAT-unset}"\n'
    )
    monkeypatch.setenv("SLURM_TIME_FORMAT", "relative")
    monkeypatch.setenv("SQUEUE_FORMAT", "%i")
    assert show_job("12") == {"JobId": "12", "EndTime": "standard", "Reason": "unset"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1-00:10:00", 87000.0),
        ("00:01:00", 60.0),
        ("02:30", 150.0),
        ("30 sec", 30.0),
        ("UNLIMITED", None),
        ("N/A", None),
        ("", None),
    ],
)
def test_durations_that_slurm_prints(text: str, seconds: float | None) -> None:
    """Days, hours, minutes and seconds are read; other text gives None."""
    assert duration_s(text) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 300.0),
        ("5:30", 330.0),
        ("1:00:00", 3600.0),
        ("2-3", 183600.0),
        ("2-3:30", 185400.0),
        ("1-0:0:5", 86405.0),
        ("UNLIMITED", None),
    ],
)
def test_limits_as_sbatch_takes_them(text: str, seconds: float | None) -> None:
    """All six shapes of --time in sbatch(1) are read."""
    assert limit_s(text) == seconds


def test_answers(commands: Path) -> None:
    """The parsers read a job, a configuration and a state in the queue."""
    (commands / "scontrol.job").write_text(JOB)
    (commands / "scontrol.config").write_text("KillWait                = 30 sec\nA = b = c\n")
    (commands / "squeue.out").write_text("COMPLETED\nPENDING\n")
    assert (show_job("12") or {})["JobState"] == "RUNNING"
    assert configuration() == {"KillWait": "30 sec", "A": "b = c"}
    assert queue_state("12") == "PENDING"


def test_forgotten_is_not_unknown(commands: Path) -> None:
    """A job that SLURM has forgotten is over; a controller that is down tells nothing."""
    (commands / "squeue.error").write_text("slurm_load_jobs error: Invalid job id specified\n")
    assert queue_state("12") == ""
    (commands / "squeue.error").write_text("Unable to contact slurm controller\n")
    (commands / "scontrol.error").write_text("Unable to contact slurm controller\n")
    assert queue_state("12") is None
    assert show_job("12") is None
    assert configuration() is None


def test_no_commands_and_commands_that_hang(
    commands: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container has no scontrol, and a busy controller is slow: both are unknown."""
    (commands / "squeue").write_text("#!/bin/sh\nexec sleep 60\n")
    assert queue_state("12", timeout_s=0.2) is None
    monkeypatch.setenv("PATH", "/nonexistent")
    assert queue_state("12") is None
    assert show_job("12") is None
