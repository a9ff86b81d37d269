"""Nodes that are lost, daemons that die, and two nodes that want the same run."""

import shutil
import signal
from pathlib import Path

import pytest

from tests.rigs.slurm.conftest import SUPERVISOR, JobUnderTest

pytestmark = [pytest.mark.rig, pytest.mark.timeout(300)]
NEVER = 1000000

# On NFS or Lustre another machine's flock proves nothing; here the file system counts as such.
SHARED = """\
import supervisor.system.mounts as filesystem
filesystem.NETWORK_TYPES = frozenset({filesystem.filesystem_type(filesystem.Path(%r))})
"""


def _as_on_nfs(job: JobUnderTest) -> dict[str, str]:
    """An environment in which the run directory counts as shared with other machines."""
    place = job.folder / "site"
    place.mkdir()
    (place / "sitecustomize.py").write_text(SHARED % str(job.folder))
    return {"PYTHONPATH": str(place)}


def test_lost_node(job: JobUnderTest) -> None:
    """SLURM requeues the job elsewhere: it takes the newest valid; a torn one is set aside (12)."""
    job.submit(**_as_on_nfs(job))
    job.wait_step(25)
    lost = job.node()
    job.cluster.lose_node(lost)
    newest = int(job.saved()["step"])
    torn = job.run_dir / f"checkpoint-{newest + 10}"
    shutil.copytree(job.run_dir / f"checkpoint-{newest}", torn)
    (torn / "model.pt").write_text("")
    assert job.begun_at(2, timeout_s=150) == newest + 1 > 20
    assert job.node() != lost
    assert job.restarts == 1
    # The lost node's lock was broken because SLURM has started the same job again.
    hosts = [entry["host"] for entry in job.entries("supervisor_started")]
    assert (len(hosts), len(set(hosts))) == (2, 2)
    aside = job.run_dir / ".supervisor" / "set-aside" / "invalid" / torn.name
    assert {path.name for path in aside.parent.iterdir() if path.is_dir()} == {torn.name}


def test_killed_slurmd(job: JobUnderTest) -> None:
    """`kill -9` of slurmd: training goes on, also under the next slurmd (12)."""
    job.submit()
    job.wait_step(10)
    node = job.node()
    job.cluster.kill_slurmd(node)
    step = job.wait_step(20)["step"]
    job.cluster.start_node(node)
    job.wait_step(step + 100)
    assert job.attempts == 1
    assert job.cluster.state(job.id) == "RUNNING"


def test_killed_slurmstepd(job: JobUnderTest) -> None:
    """Without slurmstepd SLURM cannot end the job: the run saves by itself, and resumes (12)."""
    job.submit()
    job.wait_step(25)
    node = job.cluster.nodes[job.node()]
    for pid in node.pids(f"slurmstepd: \\[{job.id}\\.batch\\]"):
        node.kill(pid, signal.SIGKILL)
    assert job.begun_at(2, timeout_s=150) == job.ends_of(1)["step"] + 1
    assert job.restarts == 1


def test_two_nodes_want_the_run(job: JobUnderTest) -> None:
    """The second supervisor exits 69 and names the first (point 15)."""
    env = _as_on_nfs(job)
    job.submit("--nodelist=n1", **env)
    job.wait_step(5)
    words = [*SUPERVISOR, "run", str(job.config)]
    done = job.cluster.nodes["n2"].run(*words, check=False, cwd=job.folder, **env)
    assert done.returncode == 69
    assert "on n1" in done.stderr
    assert f"SLURM job {job.id}" in done.stderr
    assert job.attempts == 1


def test_lock_of_a_job_that_is_over(job: JobUnderTest) -> None:
    """A lost node's lock is broken once SLURM reports that its job is over, not before (15)."""
    env = _as_on_nfs(job)
    job.submit("--nodelist=n1", "--no-requeue", **env)
    job.wait_step(25)
    job.cluster.lose_node("n1")
    newest = int(job.saved()["step"])
    words = [*SUPERVISOR, "run", str(job.config)]
    early = job.cluster.nodes["n2"].run(*words, check=False, cwd=job.folder, **env)
    assert early.returncode == 69
    assert "on n1" in early.stderr
    job.wait_state("NODE_FAIL", timeout_s=90)
    second = job.cluster.nodes["n2"]
    out = Path(job.folder / "second.log")
    set_env = [f"{key}={value}" for key, value in env.items()]
    running = second.start("env", *set_env, *words, log=out, cwd=job.folder)
    try:
        assert job.begun_at(2) == newest + 1
    finally:
        second.run("pkill", "-TERM", "-f", "launcher/__main__.py", check=False)
        running.wait(30)


def test_controller_down(job: JobUnderTest) -> None:
    """The controller does not answer at the end: saved, exit 75, neither requeued nor failed.

    Points 16 and 6.
    """
    job.configure(env={"SAVE_EVERY": NEVER})
    job.submit()
    job.wait_step(10)
    node, launcher = job.cluster.nodes[job.node()], job.launcher()
    job.cluster.stop_controller()
    try:
        node.kill(launcher, signal.SIGUSR1)
        job.wait(lambda: "SLURM does not say what becomes of job" in job.said, 90)
        assert job.saved()["kind"] == "emergency"
    finally:
        job.cluster.start_controller()
    job.wait_state("FAILED")
    assert job.cluster.job(job.id)["ExitCode"] == "75:0"
    assert job.status["state"] == "preempted"


def test_suspended_job_is_no_hang(job: JobUnderTest) -> None:
    """A suspend far longer than the heartbeat timeout is no hang: the job goes on (17)."""
    job.configure(watch={"heartbeat_timeout": "2s"})
    job.submit()
    job.wait_step(10)
    job.cluster.scontrol("suspend", job.id)
    job.wait_state("SUSPENDED")
    step = job.status["step"]
    frozen = job.cluster.nodes[job.node()]
    job.wait(lambda: frozen.run("ps", "-o", "stat=", "-p", str(job.launcher())).stdout[:1] == "T")
    frozen.run("sleep", "12")
    job.cluster.scontrol("resume", job.id)
    job.wait_step(step + 50)
    assert job.attempts == 1
    assert job.entries("incident") == []
