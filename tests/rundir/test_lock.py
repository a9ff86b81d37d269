"""One supervisor for a run, proven by flock and process identity, never by age."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError
from supervisor.rundir import lock as lock_module
from supervisor.rundir.lock import RunLock, holder, is_held
from supervisor.rundir.paths import RunPaths
from supervisor.slurm.lock_holder import SlurmJobs

TAKE = """
import sys, time
from pathlib import Path
from supervisor.rundir.lock import RunLock
from supervisor.rundir.paths import RunPaths
RunLock.acquire(RunPaths(Path(sys.argv[1])))
print("taken", flush=True)
time.sleep(600)
"""


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    """A run directory."""
    run = RunPaths(tmp_path)
    run.state_dir.mkdir()
    return run


def other_machine(paths: RunPaths, **more: object) -> None:
    """Write a lock that a supervisor on another machine left."""
    body = {"host": "gpu07", "machine_id": "m7", "boot_id": "b7", "pid": 77, "start_ticks": 5}
    paths.lock.write_text(json.dumps({**body, "slurm_job": None, **more}))


def test_second_is_refused_and_told_who_has_it(paths: RunPaths) -> None:
    """The second supervisor exits with 69 and names the first."""
    first = subprocess.Popen(
        [sys.executable, "-c", TAKE, str(paths.run_dir)], stdout=subprocess.PIPE, text=True
    )
    assert first.stdout is not None
    try:
        assert first.stdout.readline() == "taken\n"
        assert is_held(paths)
        with pytest.raises(SupervisorError) as refused:
            RunLock.acquire(paths)
        assert refused.value.code is ExitCode.LOCKED
        assert str(first.pid) in refused.value.message
    finally:
        first.kill()
        first.wait()
        first.stdout.close()
    assert not is_held(paths)
    RunLock.acquire(paths)


def test_dead_holder_of_this_machine_never_blocks(paths: RunPaths) -> None:
    """The lock of a killed supervisor is taken at once."""
    os.close(RunLock.acquire(paths).fd)
    dead = {**json.loads(paths.lock.read_text()), "start_ticks": 1}
    paths.lock.write_text(json.dumps(dead))
    assert RunLock.acquire(paths).path == paths.lock


def test_another_machines_lock_on_a_network_disk_holds(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can see whether that process lives, so --break-lock is the way."""
    monkeypatch.setattr(lock_module, "is_network", lambda path: True)
    other_machine(paths)
    with pytest.raises(SupervisorError) as refused:
        RunLock.acquire(paths)
    assert "gpu07" in refused.value.message
    assert "--break-lock" in str(refused.value.hint)
    RunLock.acquire(paths, break_lock=True)


def test_another_machines_lock_on_a_local_disk_is_disproved_by_flock(paths: RunPaths) -> None:
    """In a copied directory, or after a new machine id, our flock shows that nobody holds it."""
    other_machine(paths)
    assert RunLock.acquire(paths).path == paths.lock


@pytest.mark.parametrize(("over", "taken"), [(True, True), (False, False)])
def test_slurm_may_say_that_the_holder_is_over(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch, over: bool, taken: bool
) -> None:
    """A lost node's lock is broken when its job is over, and only then."""
    monkeypatch.setattr(lock_module, "is_network", lambda path: True)
    monkeypatch.setattr(SlurmJobs, "is_over", lambda self, job: over)
    other_machine(paths, slurm_job="17")
    if taken:
        assert RunLock.acquire(paths, jobs=SlurmJobs()).path == paths.lock
    else:
        with pytest.raises(SupervisorError):
            RunLock.acquire(paths, jobs=SlurmJobs())
    other_machine(paths, slurm_job="17")
    with pytest.raises(SupervisorError):
        RunLock.acquire(paths)  # no scheduler to ask


def test_garbage_in_the_lock_file_is_overwritten(paths: RunPaths) -> None:
    """A torn lock file names nobody, and flock decides."""
    paths.lock.write_text('{"pid": 1')
    RunLock.acquire(paths)
    assert holder(paths) is not None


def test_a_lock_outlives_its_launcher_in_who_shares_it(paths: RunPaths) -> None:
    """A daemon that shares the descriptor holds the run until it ends."""
    code = (
        "import os, sys, pathlib\n"
        "from supervisor.rundir.lock import RunLock\nfrom supervisor.rundir.paths import RunPaths\n"
        "lock = RunLock.acquire(RunPaths(pathlib.Path(sys.argv[1])))\n"
        "os.set_inheritable(lock.fd, True)\nprint(os.getpid(), flush=True)\n"
        "os.execv(sys.argv[2], ['sh', '-c', f'sleep 1000 >/dev/null & echo $!; exec true'])\n"
    )
    argv = [sys.executable, "-c", code, str(paths.run_dir), "/bin/sh"]
    launcher = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True, timeout=30)
    _, sharing = map(int, launcher.stdout.split())
    try:
        with pytest.raises(SupervisorError, match="the daemon of pid") as refused:
            RunLock.acquire(paths)
        assert refused.value.code is ExitCode.LOCKED
    finally:
        os.kill(sharing, signal.SIGKILL)
    os.close(RunLock.acquire(paths).fd)
