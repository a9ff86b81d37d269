"""The owner of a run: recycled pids, reboots, other machines, copies. Strangers stay untouched."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.rundir.lock import is_held
from supervisor.system.identity import start_ticks
from tests.e2e.conftest import Supervised, uninterrupted


@pytest.fixture
def bystander() -> Iterator["subprocess.Popen[bytes]"]:
    """A process of nobody in the run, whose pid the files of the run will name."""
    process = subprocess.Popen(["sleep", "1000"])
    # Start times are told apart in ticks of 10 ms, so another process must not begin in the same
    # tick.
    time.sleep(0.05)
    yield process
    process.kill()
    process.wait()


def kill_all(run: Supervised) -> None:
    """Kill every process of the run, like a power cut."""
    assert run.process is not None
    pids = run.status["pids"]
    for who in ("launcher", "daemon", "trainer"):
        os.kill(pids[who], signal.SIGKILL)
    run.process.wait()
    run.wait(lambda: not run.strays() and start_ticks(pids["daemon"]) is None)
    # A child between its fork and its exec holds the lock for a moment longer.
    run.wait(lambda: not is_held(run.paths))


def rewrite(path: Path, **fields: object) -> None:
    """Change fields of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_recycled_pids_name_nobody(run: Supervised, bystander: "subprocess.Popen[bytes]") -> None:
    """A living process with another start time than in the record is left alone."""
    run.configure(hold=15)
    run.start()
    run.wait_step(12)
    kill_all(run)
    rewrite(run.paths.lock, pid=bystander.pid)
    pids = dict.fromkeys(("launcher", "daemon", "trainer"), bystander.pid)
    rewrite(run.paths.status, pids=pids)
    refused = run.command("reload")
    assert refused.returncode != 0
    assert "nothing runs" in refused.stderr
    run.start()
    run.wait(lambda: run.status.get("attempt") == 2 and run.status.get("state") == "running")
    rewrite(run.paths.status, pids={**run.status["pids"], "daemon": bystander.pid})
    run.command("reload")
    run.let_go()
    assert run.finish() == 0
    assert run.weight() == uninterrupted()
    assert bystander.poll() is None


def elsewhere(run: Supervised, hosts: Path, *, boot: bool, machine: bool) -> list[str]:
    """A command prefix under which this machine has rebooted, or is another one (needs root)."""
    hosts.mkdir(exist_ok=True)
    script = "mount --make-rprivate / && "
    if boot:
        (hosts / "boot_id").write_text("11111111-2222-3333-4444-555555555555\n")
        script += f"mount --bind {hosts}/boot_id /proc/sys/kernel/random/boot_id && "
    if machine:
        (hosts / "etc").mkdir(exist_ok=True)
        (hosts / "machine-id").write_text("f" * 32 + "\n")
        script += "hostname gpu07 && "
        if Path("/etc/machine-id").exists():
            script += f"mount --bind {hosts}/machine-id /etc/machine-id && "
    return ["unshare", "--mount", "--uts", "sh", "-c", script + 'exec "$@"', "sh"]


def start_under(run: Supervised, prefix: list[str]) -> "subprocess.Popen[str]":
    """Start `supervisor run` behind a prefix."""
    command = [*prefix, sys.executable, "-m", "supervisor", "run", str(run.config)]
    with run.output.open("a") as out:
        run.process = subprocess.Popen(
            command, cwd=run.folder, stdout=out, stderr=subprocess.STDOUT, text=True
        )
    return run.process


@pytest.mark.root
def test_a_reboot_between(run: Supervised) -> None:
    """With another boot id the lock's holder is dead, even if a process has its pid."""
    run.configure(hold=30, env={"FAULTS": '{"1": [25, "kill"]}'})
    run.start()
    run.wait_step(27, attempt=2)
    kill_all(run)
    # In the new boot a living process has just that pid and start time.
    ticks = start_ticks(os.getpid())
    rewrite(run.paths.lock, pid=os.getpid(), start_ticks=ticks)
    run.let_go()
    start_under(run, elsewhere(run, run.folder / "hosts", boot=True, machine=False))
    assert run.finish() == 0
    boots = {entry["boot_id"] for entry in run.entries("daemon_started")}
    assert "11111111-2222-3333-4444-555555555555" in boots
    assert len(boots) == 2
    assert run.entries("attempt_started")[2]["checkpoint"]["step"] >= 20
    assert run.status["budget"]["today"] == 1
    assert run.weight() == uninterrupted()


@pytest.mark.root
def test_another_living_machine_has_the_directory(run: Supervised) -> None:
    """Exit 69 names the other machine, whose run goes on. When it is gone, the run is free."""
    run.configure(env={"STEP_S": "0.05", "STEPS": "4000"})
    first = start_under(run, elsewhere(run, run.folder / "hosts", boot=True, machine=True))
    run.wait_step(3)
    second = run.raw("run", str(run.config))
    assert second.returncode == 69
    holder = json.loads(run.paths.lock.read_text())
    assert f"pid {holder['pid']} on gpu07" in second.stderr
    assert f"since {holder['since']}" in second.stderr
    assert "--break-lock" in second.stderr
    assert run.raw("run", str(run.config), "--break-lock").returncode == 69, (
        "its flock is seen here"
    )
    run.wait_step(run.status["step"] + 3)
    assert first.poll() is None
    assert len(run.entries("attempt_started")) == 1
    kill_all(run)
    run.steps = run.status["step"] + 20
    run.configure(env={"STEPS": run.steps})
    assert run.run() == 0
    assert run.weight() == uninterrupted(run.steps)
    assert json.loads(run.paths.lock.read_text())["host"] == socket.gethostname()


def copy_standing(run: Supervised, copy: Supervised) -> None:
    """Copy a living run's directory while its daemon is stopped, so that no file changes."""
    daemon = run.status["pids"]["daemon"]
    os.kill(daemon, signal.SIGSTOP)
    state = Path(f"/proc/{daemon}/stat")
    run.wait(lambda: state.read_text().rpartition(") ")[2][0] == "T")
    shutil.copytree(run.run_dir, copy.run_dir)
    os.kill(daemon, signal.SIGCONT)


def test_a_copy_of_a_living_run_directory_is_refused(run: Supervised, tmp_path: Path) -> None:
    """`run` in a copy exits 69 and names the original, which loses no process to the copy."""
    run.configure(hold=30)
    run.start()
    trainer = run.wait_step(15)
    (tmp_path / "copy").mkdir()
    copy = Supervised(tmp_path / "copy")
    copy_standing(run, copy)
    # As in a backoff, or from a backup: the copied lock names no living process.
    rewrite(copy.paths.lock, pid=2**22 + 1)
    refused = copy.raw("run", str(copy.config))
    assert refused.returncode == 69, refused.stderr
    assert f"a copy of {run.run_dir}" in refused.stderr
    assert f"pid {run.status['pids']['launcher']} on" in refused.stderr
    os.kill(trainer, 0)
    run.let_go()
    assert run.finish() == 0
    assert len(run.entries("attempt_started")) == 1
    assert run.weight() == uninterrupted()
    assert copy.run() == 0
    assert copy.entries("attempt_started")[1]["checkpoint"]["step"] >= 10
    assert copy.weight() == uninterrupted()


def test_a_copied_directory_of_a_dead_run_goes_on_by_itself(
    run: Supervised, tmp_path: Path
) -> None:
    """A copied dead run goes on by itself; the original's end says nothing about the copy."""
    run.configure(hold=25)
    run.start()
    run.wait_step(22)
    kill_all(run)
    (tmp_path / "copy").mkdir()
    copy = Supervised(tmp_path / "copy")
    shutil.copytree(run.run_dir, copy.run_dir)
    copy.configure(env={"STEP_S": "0.02"})
    assert copy.run() == 0
    assert copy.entries("attempt_started")[1]["checkpoint"]["step"] >= 20
    assert copy.weight() == uninterrupted()
    assert len(run.entries("attempt_started")) == 1


@pytest.mark.root
def test_as_pid_1(run: Supervised) -> None:
    """The root of a container reaps orphans, passes SIGTERM on, saves, and exits 75."""
    run.configure(env={"STEP_S": "0.05", "STEPS": "2000"})
    pid_1 = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    outer = start_under(run, pid_1)
    run.wait_step(5)
    assert run.status["pids"]["launcher"] == 1
    (inner,) = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
    enter = ["nsenter", "--target", inner, "--pid", "--mount"]
    subprocess.run([*enter, "sh", "-c", "(exit 0) & exec sleep 0.1"], check=True)
    os.kill(int(inner), signal.SIGTERM)
    assert run.finish() == 75
    (end,) = run.entries("attempt_ended")
    assert (end["stop_requested"], end["saved"]) == ("SIGTERM", True)
    assert run.strays() == []
