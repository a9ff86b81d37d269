"""A run made of files, with a real process that holds its lock; and the real command line."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from supervisor.rundir.intent import IntentRecord, read_intent
from supervisor.rundir.ledger import LedgerWriter
from supervisor.rundir.paths import RunPaths
from supervisor.system.clock import rfc3339

ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import sys
from pathlib import Path
from supervisor.rundir.lock import RunLock
from supervisor.rundir.paths import RunPaths
lock = RunLock.acquire(RunPaths(Path(sys.argv[1])))
print("held", flush=True)
sys.stdin.read()
"""

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def make_environment(home: Path) -> dict[str, str]:
    """An environment that does not depend on the caller's."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SUPERVISOR", "SLURM"))}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "XDG_RUNTIME_DIR": str(home),
        "TZ": "UTC",
        "TERM": "xterm",
        "COLUMNS": "80",
    }


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment of a command's process."""
    return make_environment(tmp_path)


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """`python -m supervisor …` in tmp_path, as a shell would call it."""

    def call(*words: object, cwd: Path = tmp_path) -> "subprocess.CompletedProcess[str]":
        argv = [sys.executable, "-m", "supervisor", *map(str, words)]
        return subprocess.run(
            argv,
            cwd=cwd,
            env=make_environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    return call


@dataclass
class FakeRun:
    """The files of a run as the daemon would write them."""

    run_dir: Path
    name: str = "demo"
    holders: list["subprocess.Popen[str]"] = field(default_factory=list)

    @property
    def paths(self) -> RunPaths:
        """The paths of the run's files."""
        return RunPaths(self.run_dir)

    def write_status(self, state: str, **fields: Any) -> None:
        """Write status.json as of now."""
        now = time.time()
        status = {
            "run": self.name, "name": self.name, "run_id": "r1", "state": state,
            "attempt": 3, "restarts": 2, "phase": "step", "step": 6100, "epoch": 117,
            "loss": 1.2345, "step_rate": 1.9, "heartbeat_age_s": 0.2,
            "pids": {"launcher": 11, "daemon": 12, "trainer": 13},
            "checkpoint": {"path": "/out/checkpoint-6000", "step": 6000, "kind": "periodic"},
            "failure": "killed", "action": "restart", "reason": "killed by SIGKILL",
            "config": "/etc/config.yaml", "updated_at": rfc3339(now),
            "started_at": rfc3339(now - 3600), "warnings": [], "interrupts": 0,
        }  # fmt: skip
        self.paths.status.write_text(json.dumps({**status, **fields}))

    def record(self, *entries: dict[str, Any]) -> None:
        """Append to the ledger."""
        writer = LedgerWriter(self.paths.ledger, self.paths.reserve)
        assert writer.append(entries)
        writer.close()

    def create(self) -> None:
        """Write the ledger's first entry."""
        self.record({"type": "run_created", "run_id": "r1", "name": self.name, "version": "0"})

    def hold_lock(self) -> "subprocess.Popen[str]":
        """Start a process that takes the run's lock."""
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(self.run_dir)],
            env=make_environment(self.run_dir),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        self.holders.append(holder)
        return holder

    def intent(self) -> IntentRecord:
        """The operator's intent on record."""
        return read_intent(self.paths.intent)

    def end(self) -> None:
        """Release the lock."""
        for holder in self.holders:
            holder.kill()
            holder.communicate()
        self.holders.clear()


@pytest.fixture
def fake_run(tmp_path: Path) -> Iterator[FakeRun]:
    """A run `demo` in tmp_path/runs/demo that never started."""
    run = FakeRun(tmp_path / "runs" / "demo")
    run.paths.state_dir.mkdir(parents=True)
    yield run
    run.end()
