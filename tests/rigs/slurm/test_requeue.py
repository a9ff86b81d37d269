"""Jobs that are put back into the queue, and resume from their save."""

import signal

import pytest

from tests.rigs.slurm.conftest import JobUnderTest

pytestmark = [pytest.mark.rig, pytest.mark.timeout(400)]
NEVER = 1000000


def test_preempted_saved_requeued_resumed(job: JobUnderTest) -> None:
    """The requeued job has the same id, and resumes at the saved step (point 2)."""
    job.configure(env={"SAVE_EVERY": NEVER})
    job.submit()
    job.wait_step(10)
    job.preempt()
    begun = job.begun_at(2)
    saved = job.ends_of(1)["step"]
    assert begun == saved + 1 > 10
    assert f"saved at step {saved}" in job.said
    assert f"requeued as job {job.id}; SLURM may start it again in about 5 s" in job.said
    assert job.cluster.state(job.id) == "RUNNING"
    assert job.restarts == 1
    # tee: both starts of the trainer print into one log, which no requeue has emptied.
    assert "attempt 1 begins at step 1 " in job.said
    job.wait(lambda: f"attempt 2 begins at step {begun} " in job.said)
    assert job.status["slurm"]["job_id"] == job.id
    assert job.status["slurm"]["restart_count"] == 1


def test_time_limit_announced(job: JobUnderTest) -> None:
    """USR1 comes up to a minute early; the run saves, and the job is requeued (2, 3)."""
    job.configure(env={"SAVE_EVERY": NEVER})
    job.submit("--time=2", "--signal=B:USR1@20")
    job.wait_step(10)
    begun = job.begun_at(2, timeout_s=240)
    assert begun == job.ends_of(1)["step"] + 1 > 10
    assert job.restarts == 1
    assert [entry["by"] for entry in job.entries("stop_requested")][:1] == ["SIGUSR1"]


def test_time_limit_unannounced(job: JobUnderTest) -> None:
    """SIGTERM at the limit leaves KillWait to save; the job is requeued as it ends (2)."""
    job.configure(env={"SAVE_EVERY": NEVER})
    job.submit("--time=1", "--signal=B:CONT@5")
    job.wait_step(10)
    begun = job.begun_at(2, timeout_s=240)
    assert begun == job.ends_of(1)["step"] + 1 > 10
    assert "DUE TO TIME LIMIT" in job.said
    assert job.restarts == 1


def test_preempted_without_a_warning(job: JobUnderTest) -> None:
    """With GraceTime=0 only SIGTERM comes, and SLURM has requeued the job already (6)."""
    job.configure(env={"SAVE_EVERY": NEVER})
    job.submit("--partition=abrupt")
    job.wait_step(10)
    job.preempt()
    begun = job.begun_at(2)
    assert begun == job.ends_of(1)["step"] + 1 > 10
    assert job.restarts == 1
    assert "requeued already" in job.said


def test_repeated_signals_change_nothing(job: JobUnderTest) -> None:
    """TERM, TERM, CONT, USR1, TERM during a save bring one whole save, and no kill (4)."""
    job.configure(env={"SAVE_EVERY": NEVER, "SAVE_S": 3})
    job.submit()
    job.wait_step(10)
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGCONT, signal.SIGUSR1, signal.SIGTERM):
        job.signal(number)
    ended = job.ends_of(1)
    assert (ended["signal"], ended["code"]) == (None, 75)
    assert job.begun_at(2) == ended["step"] + 1
    assert job.said.count("saved at step") == 1


def test_seven_preemptions_do_not_hold_the_job(job: JobUnderTest) -> None:
    """SLURM holds a job that it had to requeue five times; ours ask for the requeue (8, 11)."""
    job.configure(env={"SAVE_EVERY": NEVER})
    job.submit()
    for attempt in range(1, 8):
        job.wait_step(1, attempt=attempt, timeout_s=120)
        job.preempt()
        job.begun_at(attempt + 1, timeout_s=120)
    assert job.restarts == 7
    assert job.cluster.state(job.id) == "RUNNING"
    # Across all requeues each attempt began from the step that the previous one had saved.
    started = job.entries("attempt_started")
    ends = [entry["step"] for entry in job.entries("attempt_ended")]
    assert [entry["checkpoint"]["step"] for entry in started[1:]] == ends
    # `unknown`: the controller had not answered in time, and the job was requeued all the same.
    verdicts = [entry["verdict"] for entry in job.entries("requeue")]
    assert set(verdicts) <= {"ask", "already", "unknown"}
    assert "ask" in verdicts


def test_no_requeue_is_said(job: JobUnderTest) -> None:
    """With `--no-requeue` the run saves, exits 75, and prints the command to type (point 9)."""
    job.configure(env={"SAVE_EVERY": NEVER})
    job.submit("--no-requeue")
    job.wait_step(10)
    job.signal(signal.SIGUSR1)
    job.wait_state("FAILED")
    assert job.cluster.job(job.id)["ExitCode"] == "75:0"
    assert f"job {job.id} may not be requeued (--no-requeue" in job.said
    assert f"supervisor sbatch {job.config}" in job.said
    assert job.saved()["kind"] == "emergency"


def test_chain_goes_on(job: JobUnderTest) -> None:
    """A `%1` array for sites without requeues: the next task resumes from the first task's save."""
    job.configure(env={"SAVE_EVERY": NEVER})
    job.submit(own=("--chain", "3"))
    job.wait_step(10)
    job.id += "_1"
    job.signal(signal.SIGUSR1)
    assert job.begun_at(2) == job.ends_of(1)["step"] + 1
    assert job.restarts == 0
    assert f"job {job.id} may not be requeued" in job.said
    assert job.job_log.exists()


def test_array_task_requeues_itself_alone(job: JobUnderTest) -> None:
    """The script to copy as an array of two runs: one is preempted, the other not (point 10)."""
    (job.folder / "other").mkdir()
    other = JobUnderTest(job.cluster, job.folder / "other")
    for one, name in ((job, "1"), (other, "2")):
        one.configure(env={"SAVE_EVERY": NEVER})
        (job.folder / f"config-{name}.yaml").write_text(
            one.config.read_text()
            .replace("run_dir: run", f"run_dir: {one.run_dir}")
            .replace("name: rig", f"name: rig-{name}")
        )
    script = job.copied_script("config-$SLURM_ARRAY_TASK_ID.yaml")
    options = ("--array=1-2", "--exclusive", "--open-mode=append")
    done = job.cluster.login.run("sbatch", "--parsable", *options, script, cwd=job.folder)
    array = done.stdout.strip()
    other.wait_step(10)
    job.wait_step(10)
    job.id, other.id = f"{array}_1", f"{array}_2"
    before = other.attempts
    job.preempt()
    assert job.begun_at(2) == job.ends_of(1)["step"] + 1
    assert job.restarts == 1
    assert (other.restarts, other.attempts) == (0, before)
    assert next(entry["job"] for entry in job.entries("requeue")) == f"{array}_1"


def test_tasks_of_srun(job: JobUnderTest) -> None:
    """`srun` as the command: a stop goes to the step, both tasks save and end, and resume (3)."""
    trainer = job.command()
    job.configure(env={"SAVE_EVERY": NEVER}, command=["srun", "--ntasks=2", *trainer])
    job.submit("--ntasks=2")
    job.wait_step(10)
    assert job.said.count("attempt 1 begins at step 1 ") == 2
    job.signal(signal.SIGUSR1)
    begun = job.begun_at(2)
    ended = job.ends_of(1)
    # srun itself would have turned a SIGTERM into SIGKILL.
    assert begun == job.entries("attempt_started")[1]["checkpoint"]["step"] + 1 > 10
    assert ended["signal"] is None
    assert job.restarts == 1


def test_warning_to_the_tasks_of_srun(job: JobUnderTest) -> None:
    """`--signal=USR1@N` reaches only the tasks: they save, and the end counts as a stop (3)."""
    trainer = job.command()
    job.configure(env={"SAVE_EVERY": NEVER}, command=["srun", "--ntasks=2", *trainer])
    job.submit("--ntasks=2", "--time=2", "--signal=USR1@20")
    job.wait_step(10)
    begun = job.begun_at(2, timeout_s=240)
    assert begun == job.entries("attempt_started")[1]["checkpoint"]["step"] + 1 > 10
