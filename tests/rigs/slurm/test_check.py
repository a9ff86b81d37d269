"""`supervisor check` on the login node and inside a job: what the site really allows."""

import json

import pytest

from tests.rigs.slurm.cluster import Cluster
from tests.rigs.slurm.conftest import SUPERVISOR, JobUnderTest

pytestmark = [pytest.mark.rig, pytest.mark.timeout(180)]


def _found(text: str) -> dict[str, tuple[str, str]]:
    return {each["what"]: (each["level"], each["text"]) for each in json.loads(text)}


def _check(job: JobUnderTest, *words: str) -> dict[str, tuple[str, str]]:
    return _found(job.supervisor("check", str(job.config), "--json", *words, check=False))


def test_no_warning_without_the_user_signal(cluster: Cluster, job: JobUnderTest) -> None:
    """In the batch layout no signal announces a preemption; under srun one does (point 5)."""
    with cluster.settings(controller_parameters="max_dbd_msg_action=discard"):
        level, text = _check(job)["preemption"]
        assert (level, text.split(":")[0]) == ("warn", "no warning will come")
        assert _check(job)["time to save"][1].startswith("a preemption gives 10s")
        job.configure(command=["srun", "true"])
        assert _check(job)["preemption"][0] == "ok"


def test_what_the_partition_gives(cluster: Cluster, job: JobUnderTest) -> None:
    """`check` shows GraceTime and KillWait of the chosen partition."""
    found = _check(job)
    assert found["SLURM"] == ("ok", "partition low")
    assert found["preemption"] == ("ok", "announced by --signal=B:…; GraceTime is 10s")
    assert found["time to save"][1].startswith("a preemption gives 20s (GraceTime 10s + KillWait")
    assert found["requeue"] == ("ok", "allowed (JobRequeue=1)")
    assert found["locks"][0] == "ok"
    assert _check(job, "--partition", "abrupt")["preemption"][0] == "warn"
    assert "not preempted" in _check(job, "--partition", "high")["preemption"][1]
    assert _check(job, "--partition", "nowhere")["SLURM"][0] == "warn"


def test_inside_a_job(cluster: Cluster, job: JobUnderTest) -> None:
    """In a job `check` shows its partition, its time limit, and whether it may be requeued."""
    out = job.folder / "out"
    check = f"{' '.join(SUPERVISOR)} check --json {job.config}"
    for option, level in (("--requeue", "ok"), ("--no-requeue", "warn")):
        cluster.login.run(
            "sbatch", "--wait", "-p", "abrupt", "-t", "3", option, "-o", str(out),
            f"--wrap={check}", cwd=job.folder, check=False,
        )  # fmt: skip
        found = _found(out.read_text())
        assert "partition abrupt" in found["SLURM"][1]
        assert found["SLURM"][1].startswith("job ")
        assert found["requeue"][0] == level
        assert found["time limit"][1].startswith("3m of this job")


def test_a_controller_that_is_down_is_unknown(cluster: Cluster, job: JobUnderTest) -> None:
    """A missing answer is reported as such, and nothing is guessed."""
    cluster.stop_controller()
    try:
        found = _check(job)
    finally:
        cluster.start_controller()
    assert found["SLURM"][0] == "warn"
    assert "does not answer" in found["SLURM"][1]
    assert "requeue" not in found
