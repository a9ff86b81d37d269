"""Hooks in jobs: the comment of a job, and a job that is preempted while a hook runs."""

import json
from pathlib import Path

import pytest
import yaml

from supervisor.system import procfs
from tests.rigs.slurm.conftest import JobUnderTest

pytestmark = [pytest.mark.rig, pytest.mark.timeout(300)]
EXAMPLES = Path(__file__).parents[3] / "configs" / "hooks"


def test_the_example_writes_the_comment_of_its_job(job: JobUnderTest) -> None:
    """What happened last. A job that is cancelled takes no comment, and that is no failure."""
    hooks = yaml.safe_load((EXAMPLES / "slurm_comment.yaml").read_text())["hooks"]
    (job.folder / "hooks").symlink_to(EXAMPLES)
    job.configure(hooks=hooks, env={"FAULTS": json.dumps({"1": [5, "raise"]}), "SAVE_EVERY": 400})
    job.submit()
    job.wait(lambda: "rig: attempt 1 ended: exception" in comment(job))
    job.wait(lambda: "rig: saved at step 400" in comment(job))
    job.cluster.login.run("scancel", job.id)
    job.wait_state("CANCELLED")
    job.wait(lambda: not job.strays())
    assert not job.entries("hook_failed")
    ends = (job.paths.hook_logs / "attempt_ended.log").read_text()
    assert ends.count("== exit code 0") == 2


def comment(job: JobUnderTest) -> str:
    """The job's comment, as `squeue` shows it."""
    return job.cluster.login.run("squeue", "-h", "-j", job.id, "-o", "%k", check=False).stdout


def test_a_preemption_while_before_launch_runs_requeues_the_job(job: JobUnderTest) -> None:
    """The hook is ended at once, and the next start of the job asks again."""
    script = "test -e go && exit 0; setsid sleep 1000 & echo $! >> pids; sleep 1000"
    job.configure(hooks={"before_launch": ["sh", "-c", script]})
    job.submit()
    pids = job.folder / "pids"
    job.wait(lambda: pids.exists() and pids.read_text().endswith("\n"))
    (pid,) = map(int, pids.read_text().split())
    assert job.status["reason"] == "the hook before_launch runs"
    (job.folder / "go").touch()
    job.preempt()
    job.wait(lambda: job.attempts == 1, 150)
    assert job.restarts == 1
    assert [entry["state"] for entry in job.entries("supervisor_ended")] == ["preempted"]
    process = procfs.read_process(pid)
    assert process is None or process.has_ended
