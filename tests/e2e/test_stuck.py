"""A trainer in uninterruptible sleep is `stuck`, with the kernel's stack, and never relaunched."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.system.identity import start_ticks
from tests.e2e.conftest import Supervised
from tests.launcher.test_uninterruptible import DeadServer

pytestmark = [pytest.mark.root, pytest.mark.timeout(400)]

# `supervisor run` whose launcher waits 1 s instead of a minute for SIGKILL to work.
IMPATIENT = """\
import os, sys
import supervisor.cli.start.handover as handover
execve = os.execve
handover.os.execve = lambda path, words, env: execve(
    path, [*words, "--unkillable-after-s", "1"], env
)
from supervisor.cli import main
sys.argv = ["supervisor", "run", sys.argv[1]]
main()
"""
TRAIN = """\
import os, sys
disk, done = sys.argv[1:]
print("attempt", os.environ["SUPERVISOR_ATTEMPT"], flush=True)
if not os.path.exists(done):
    os.stat(disk + "/shard-17")
"""


@pytest.fixture
def dead_disk(tmp_path: Path) -> Iterator[DeadServer]:
    """A FUSE mount that does not answer, like an NFS mount whose server is gone."""
    server = DeadServer(tmp_path / "disk")
    yield server
    server.give_up()


def run_impatiently(run: Supervised) -> int:
    """`supervisor run`; its exit code."""
    with run.output.open("a") as out:
        words = [sys.executable, "-c", IMPATIENT, str(run.config)]
        run.process = subprocess.Popen(
            words, cwd=run.folder, stdout=out, stderr=subprocess.STDOUT, text=True
        )
    return run.finish()


def test_stuck_is_said_and_never_launched_over(run: Supervised, dead_disk: DeadServer) -> None:
    """A process survives SIGKILL: exit 1. A later `resume` and `run` find it again."""
    done = run.folder / "done"
    command = [sys.executable, "-c", TRAIN, str(dead_disk.mount_point), str(done)]
    run.configure(command=command, grace="1s", launch={"mode": "cold"})
    with run.output.open("a") as out:
        words = [sys.executable, "-c", IMPATIENT, str(run.config)]
        run.process = subprocess.Popen(
            words, cwd=run.folder, stdout=out, stderr=subprocess.STDOUT, text=True
        )
    assert dead_disk.taken.wait(30)
    run.wait(lambda: run.status.get("state") == "running")
    trainer = run.status["pids"]["trainer"]
    run.process.terminate()
    assert run.finish() == 1
    assert run.status["state"] == "stuck"
    assert f"pid {trainer} (python" in run.status["reason"]
    (incident,) = [e for e in run.entries("incident") if e["failure"] == "stuck"]
    evidence = "\n".join(incident["evidence"])
    assert f"kernel stack of pid {trainer}, system call " in evidence
    assert "fuse" in evidence
    report = Path(incident["folder"]) / "incident.json"
    assert json.loads(report.read_text())["evidence"] == incident["evidence"]
    assert start_ticks(trainer) is not None

    assert run.raw("run", str(run.config)).returncode == 1, "held until somebody has looked"
    assert run.command("resume").returncode == 0
    run.configure(command=command, grace="1s", launch={"mode": "cold"})
    assert run_impatiently(run) == 1
    assert run.status["state"] == "stuck"
    assert run.log.count("attempt ") == 1

    dead_disk.give_up()
    run.wait(lambda: start_ticks(trainer) is None)
    os.close(os.open(done, os.O_CREAT))
    assert run.command("resume").returncode == 0
    assert run_impatiently(run) == 0
    assert run.log.count("attempt ") == 2
