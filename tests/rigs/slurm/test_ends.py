"""What ends a job, and what must not come of it: cancelled, stopped, held and finished runs."""

import pytest

from tests.rigs.slurm.conftest import JobUnderTest

pytestmark = [pytest.mark.rig, pytest.mark.timeout(240)]


def test_scancel_saves_and_is_not_requeued(job: JobUnderTest) -> None:
    """One TERM to the trainer, which saves within KillWait; the job stays cancelled (point 1)."""
    job.configure(env={"SAVE_EVERY": 1000000})
    job.submit()
    job.wait_step(10)
    job.cluster.login.run("scancel", job.id)
    job.wait_state("CANCELLED", "FAILED")
    job.wait(lambda: "CANCELLED" in job.cluster.state(job.id))
    job.wait(lambda: not job.strays())
    saved = job.saved()
    assert saved["kind"] == "emergency"
    assert job.restarts == 0
    assert len(job.entries("attempt_ended")) == 1
    assert f"saved at step {saved['step']}" in job.said
