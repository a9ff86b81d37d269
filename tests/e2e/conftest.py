"""Starts supervised runs and waits for what their files show, never for a time."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from supervisor.rundir.ledger import read_ledger
from supervisor.rundir.paths import RunPaths

TRAINER = Path(__file__).with_name("trainer.py")
COMMAND = [sys.executable, str(TRAINER)]
# Only a test that wants a hang has one. On a busy machine a process may wait for seconds.
NO_HANG_S, HANG_S = 20, 2
HANG = {"heartbeat_timeout": f"{HANG_S}s"}
PATIENCE_S = 90.0


class Supervised:
    """One run directory and the supervisors that are started on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run_dir = folder / "run"
        self.paths = RunPaths(self.run_dir)
        self.config = folder / "config.yaml"
        self.process: subprocess.Popen[str] | None = None
        self.output = folder / "output.txt"
        self.gate = folder / "gate"
        self.prefix: list[str] = []
        self.python = sys.executable
        self.environ: dict[str, str] = {}
        self.configure()

    def configure(self, *, hold: int | None = None, **more: Any) -> None:
        """Write the configuration; `env` values become text. `hold`: the trainer's HOLD."""
        body: dict[str, Any] = {
            "name": "e2e",
            "command": COMMAND,
            "run_dir": str(self.run_dir),
            "restart": {"backoff": "0.1s", "backoff_max": "0.3s"},
            "watch": {"heartbeat_timeout": f"{NO_HANG_S}s"},
            "grace": "10s",
        }
        body |= more
        env = body.get("env", {})
        if hold is not None:
            self.gate.unlink(missing_ok=True)
            env = {**env, "HOLD": hold, "GATE": self.gate}
        body["env"] = {key: str(value) for key, value in env.items()}
        self.config.write_text(yaml.safe_dump(body))

    def start(self, *options: str) -> "subprocess.Popen[str]":
        """Start `supervisor run` in the background."""
        command = [self.python, "-m", "supervisor", "run", str(self.config), *options]
        with self.output.open("a") as out:
            self.process = subprocess.Popen(
                [*self.prefix, *command],
                cwd=self.folder,
                env={**os.environ, **self.environ},
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
            )
        return self.process

    def finish(self, timeout_s: float = PATIENCE_S) -> int:
        """Wait for the end of `supervisor run`; its exit code."""
        assert self.process is not None
        return self.process.wait(timeout_s)

    def run(self, *options: str) -> int:
        """Start with an open gate, so that the trainer never holds, and wait for the exit code."""
        self.let_go()
        self.start(*options)
        return self.finish()

    def let_go(self) -> None:
        """Open the gate, so that a holding trainer goes on."""
        self.gate.touch()

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run another `supervisor` command on this run."""
        return self.raw(words[0], str(self.run_dir), *words[1:])

    def raw(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a `supervisor` command with exactly these words."""
        command = [self.python, "-m", "supervisor", *words]
        return subprocess.run(
            [*self.prefix, *command],
            cwd=self.folder,
            env={**os.environ, **self.environ},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    @property
    def status(self) -> dict[str, Any]:
        """status.json, empty before there is one."""
        try:
            return dict(json.loads(self.paths.status.read_text()))
        except (OSError, ValueError):
            return {}

    def entries(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The ledger, or its entries of one type."""
        return [e for e in read_ledger(self.paths.ledger) if kind in (None, e["type"])]

    @property
    def text(self) -> str:
        """What `supervisor run` printed."""
        return self.output.read_text()

    @property
    def log(self) -> str:
        """train.log."""
        return self.paths.train_log.read_text()

    def wait(self, claim: Callable[[], Any], timeout_s: float = PATIENCE_S) -> Any:
        """Wait until a claim is true; its value. Fails with status and output at the timeout."""
        deadline = time.monotonic() + timeout_s
        while not (value := claim()):
            if time.monotonic() > deadline:
                said = self.text if self.output.exists() else ""
                pytest.fail(f"never came true; status {self.status}; output:\n{said}")
            time.sleep(0.02)
        return value

    def wait_step(self, step: int, attempt: int | None = None) -> int:
        """Wait until status.json shows an attempt at a step; the trainer's pid."""

        def reached() -> int | None:
            status = self.status
            if attempt is not None and status.get("attempt") != attempt:
                return None
            here = (status.get("step") or -1) >= step and status.get("state") == "running"
            return status["pids"]["trainer"] if here else None

        return int(self.wait(reached))

    def weight(self) -> float:
        """The weight in the final checkpoint."""
        return float((self.run_dir / f"checkpoint-{self.steps}" / "model.pt").read_text())

    steps = 40

    def close(self) -> None:
        """Kill `supervisor run` and every process of the run's attempts."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        deadline = time.monotonic() + PATIENCE_S
        while (left := self._strays()) and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    def _strays(self) -> list[int]:
        marks = os.fsencode(f"SUPERVISOR_RUN_DIR={self.run_dir}")
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if marks in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def strays(self) -> list[int]:
        """Processes of the run's attempts that still live."""
        return self._strays()


def uninterrupted(steps: int = 40) -> float:
    """The weight that the trainer reaches without a fault."""
    weight = 1.0
    for step in range(1, steps + 1):
        weight = (weight * 1103515245.0 + step) % 2147483647.0
    return weight


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Supervised]:
    """A run in a fresh directory."""
    supervised = Supervised(tmp_path)
    yield supervised
    supervised.close()
