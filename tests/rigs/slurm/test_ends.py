"""Jobs that end for good: cancelled, stopped, held and finished runs."""

import json
import signal

import pytest

from tests.rigs.slurm.conftest import JobUnderTest

pytestmark = [pytest.mark.rig, pytest.mark.timeout(300)]
NEVER = 1000000
SAME_DEATH = json.dumps({str(attempt): [5, "raise"] for attempt in range(1, 20)})


def test_scancel_saves_and_is_not_requeued(job: JobUnderTest) -> None:
    """The trainer gets one TERM and saves within KillWait; the job stays cancelled (point 1)."""
    job.configure(env={"SAVE_EVERY": NEVER})
    job.submit()
    job.wait_step(10)
    job.cluster.login.run("scancel", job.id)
    job.wait_state("CANCELLED")
    job.wait(lambda: not job.strays())
    saved = job.saved()
    assert saved["kind"] == "emergency"
    assert job.restarts == 0
    assert len(job.entries("attempt_ended")) == 1
    assert f"saved at step {saved['step']}" in job.said
    assert f"job {job.id} was cancelled, so it is not requeued" in job.said


def test_held_run_frees_the_node(job: JobUnderTest) -> None:
    """The job of a held run exits 1 within a minute, and its last line says what to do."""
    job.configure(env={"FAULTS": SAME_DEATH})
    job.submit()
    job.wait_state("FAILED", timeout_s=60)
    assert job.cluster.job(job.id)["ExitCode"] == "1:0"
    assert job.restarts == 0
    assert "held: " in job.said
    assert not job.strays()
    # Another job would end at once, so none is submitted before an operator resumes.
    said = job.supervisor("sbatch", str(job.config), check=False)
    assert "nothing was submitted" in said
    assert "supervisor resume" in said


def test_no_durable_progress_is_held(job: JobUnderTest) -> None:
    """A run that is preempted again and again before a save is held with exit 1 (point 14)."""
    job.configure(
        env={"SAVE_EVERY": NEVER, "SAVE_S": 120},
        restart={"backoff": "0.1s", "backoff_max": "0.3s", "max_failures": 2},
        grace="2s",
    )
    job.submit()
    states = []
    for attempt in range(1, 6):
        job.wait(lambda n=attempt: job.attempts >= n or job.status.get("state") == "held", 90)
        if job.status.get("state") == "held":
            break
        job.wait_step(5, attempt=attempt)
        job.signal(signal.SIGUSR1)
        job.ends_of(attempt)
        states.append(attempt)
    job.wait_state("FAILED", timeout_s=60)
    assert job.cluster.job(job.id)["ExitCode"] == "1:0"
    assert job.status["state"] == "held"
    assert "without a newer validated checkpoint" in job.status["reason"]
    assert 2 <= len(states) <= 3
    assert job.restarts == len(states) - 1


def test_finished_in_its_grace(job: JobUnderTest) -> None:
    """A run that finishes in its grace is finished; a requeued job exits 0 at once (point 7)."""
    script = 'trap "" TERM; until [ -e go ]; do sleep 0.1; done; touch done'
    job.configure(command=["sh", "-c", script], finish={"file": "done"}, grace="60s")
    job.submit()
    job.wait(lambda: job.attempts == 1)
    job.preempt()
    job.wait(lambda: job.status.get("state") == "draining")
    (job.folder / "go").touch()
    job.wait_state("COMPLETED", timeout_s=90)
    before = job.restarts
    job.cluster.scontrol("requeue", job.id)
    job.wait(lambda: job.restarts > before and job.cluster.state(job.id) == "COMPLETED", 90)
    assert job.cluster.job(job.id)["ExitCode"] == "0:0"
    assert job.attempts == 1
    assert job.status["state"] == "completed"


def test_stop_from_the_login_node(job: JobUnderTest) -> None:
    """`stop` in the shared run directory saves; the job ends and is not requeued (18)."""
    job.configure(env={"SAVE_EVERY": NEVER})
    job.submit()
    job.wait_step(10)
    shown = json.loads(job.supervisor("status", str(job.run_dir), "--json"))
    assert (shown["state"], shown["live"], shown["host"]) == ("running", True, job.node())
    assert "running" in job.supervisor("status", str(job.run_dir))
    said = job.supervisor("stop", str(job.run_dir))
    assert "stopped" in said
    job.wait_state("FAILED", "COMPLETED")
    assert job.cluster.job(job.id)["ExitCode"] == "75:0"
    assert job.restarts == 0
    assert job.saved()["kind"] == "emergency"
    assert not job.strays()
    refused = job.supervisor("sbatch", str(job.config), check=False)
    assert "nothing was submitted" in refused


def test_waiting_in_the_queue(job: JobUnderTest) -> None:
    """`status` shows the queue from the login node; after a `stop` the run does not start (18)."""
    job.submit("--begin=now+1hour")
    shown = job.supervisor("status", str(job.run_dir))
    assert "waiting in the queue" in shown.splitlines()[0]
    assert f"job {job.id} waits in the queue: not before its begin time" in " ".join(shown.split())
    body = json.loads(job.supervisor("status", str(job.run_dir), "--json"))
    assert body["slurm"]["job_id"] == job.id
    assert body["slurm"]["queue_state"] == "PENDING"
    again = job.supervisor("sbatch", str(job.config), check=False)
    assert f"this run has a job already: {job.id}" in again
    said = job.supervisor("stop", str(job.run_dir))
    assert "nothing runs" in said
    job.cluster.scontrol("update", f"JobId={job.id}", "StartTime=now")
    job.wait_state("FAILED", "COMPLETED")
    assert job.cluster.job(job.id)["ExitCode"] == "75:0"
    assert job.attempts == 0


def test_requeued_and_waiting(job: JobUnderTest) -> None:
    """Between a requeue and the next start `status` shows that the run waits in the queue (18)."""
    job.configure(env={"SAVE_EVERY": NEVER})
    job.submit("--nodelist=n1")
    job.wait_step(10)
    job.preempt(seconds=20)
    job.wait_state("PENDING")
    shown = " ".join(job.supervisor("status", str(job.run_dir)).split())
    assert f"job {job.id} waits in the queue" in shown
    assert "The run goes on by itself" in shown
    assert job.begun_at(2) == job.ends_of(1)["step"] + 1
