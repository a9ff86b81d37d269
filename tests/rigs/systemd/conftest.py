"""One machine for all tests of the session, and a unit for each test."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from supervisor.rundir.ledger import read_ledger
from supervisor.rundir.paths import RunPaths
from tests.rigs.systemd.machine import ACCOUNT, ACCOUNT_ID, Machine, missing
from tests.rigs.systemd.memory import MemoryLimit
from tests.rigs.waiting import wait_until

TRAINER = Path(__file__).resolve().parents[1] / "trainer.py"
SUPERVISOR = [sys.executable, "-P", "-m", "supervisor"]


class UnitUnderTest:
    """A configuration, the unit that `supervisor systemd install` writes for it, and its run."""

    def __init__(self, machine: Machine, name: str) -> None:
        self.machine = machine
        self.name = name
        self.unit = f"supervisor@{name}.service"
        self.folder = machine.folder / name
        self.folder.mkdir()
        self.run_dir = self.folder / "run"
        self.paths = RunPaths(self.run_dir)
        self.config = self.folder / "config.yaml"
        self.configure()

    def configure(self, *, env: dict[str, Any] | None = None, **more: Any) -> None:
        """Write the configuration; `env` values become text."""
        body: dict[str, Any] = {
            "name": self.name,
            "command": [sys.executable, "-P", str(TRAINER)],
            "run_dir": "run",
            "restart": {"backoff": "0.1s", "backoff_max": "0.3s"},
            "grace": "30s",
            "env": {key: str(value) for key, value in (env or {}).items()},
        }
        self.config.write_text(yaml.safe_dump(body | more))

    def install(self, *options: str, settings: str = "") -> None:
        """Install the unit; `settings` go into a drop-in. RestartSec is 200 ms, not 5 s."""
        words = ["systemd", "install", str(self.config), "--run-as", ACCOUNT, *options]
        for path in (self.folder, self.config):
            path.chmod(0o755)
        self.machine.run("chown", "-R", f"{ACCOUNT_ID}:{ACCOUNT_ID}", str(self.folder))
        self.machine.run(*SUPERVISOR, *words, cwd=self.folder)
        folder = self.machine.folder / "units" / f"{self.unit}.d"
        folder.mkdir(exist_ok=True)
        (folder / "test.conf").write_text(f"[Service]\nRestartSec=200ms\n{settings}\n")
        self.machine.run("systemctl", "daemon-reload")

    def systemctl(self, verb: str, *options: str, check: bool = True, timeout_s: float = 90) -> str:
        """Run `systemctl VERB` on the unit; its output."""
        words = ["systemctl", verb, *options, self.unit]
        return self.machine.run(*words, check=check, timeout_s=timeout_s).stdout

    def start(self) -> None:
        """Install as configured, enable and start; returns when the unit is ready."""
        self.install()
        # A unit that is not enabled is unloaded when it ends, with its status.
        self.systemctl("enable", "--now")

    def supervisor(self, *words: str) -> str:
        """Run a `supervisor` command on the run, as the account that trains."""
        return self.machine.run_as_account(*SUPERVISOR, *words, cwd=self.folder).stdout

    def shown(self, *names: str) -> dict[str, str]:
        """Properties of `systemctl show`."""
        text = self.systemctl("show", "--property", ",".join(names))
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def fact(self, name: str) -> str:
        """One property."""
        return self.shown(name).get(name, "")

    @property
    def status(self) -> dict[str, Any]:
        """status.json, empty before there is one."""
        try:
            return dict(json.loads(self.paths.status.read_text()))
        except (OSError, ValueError):
            return {}

    @property
    def pids(self) -> dict[str, int]:
        """The pids of launcher, daemon and trainer, as the machine numbers them."""
        return dict(self.status["pids"])

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """The ledger's entries of one type."""
        return [entry for entry in read_ledger(self.paths.ledger) if entry["type"] == kind]

    @property
    def log(self) -> str:
        """train.log."""
        return self.paths.train_log.read_text()

    def newest_checkpoint(self) -> dict[str, Any]:
        """The manifest of the checkpoint with the highest step."""
        found = [json.loads(path.read_text()) for path in self.run_dir.glob("*/manifest.json")]
        return max(found, key=lambda manifest: int(manifest["step"]))

    def begun_at(self, attempt: int) -> int:
        """Wait for an attempt's line about the step at which it begins; that step."""
        mark = f"attempt {attempt} begins at step "
        line = self.wait(lambda: next((x for x in self.log.splitlines() if mark in x), None))
        return int(line.removeprefix(mark).split()[0])

    def journal(self) -> list[dict[str, Any]]:
        """The journal entries of the unit's processes."""
        words = ["journalctl", "--no-pager", "-o", "json", f"_SYSTEMD_UNIT={self.unit}"]
        return [json.loads(line) for line in self.machine.run(*words).stdout.splitlines()]

    def wait(self, claim: Callable[[], Any], timeout_s: float = 40) -> Any:
        """Wait until a claim is true; its value."""
        return wait_until(claim, timeout_s, story=self._story)

    def _story(self) -> str:
        status = self.systemctl("status", "--no-pager", "-n", "40", check=False)
        return f"{self.status}\n{status}\n{self.log if self.paths.train_log.exists() else ''}"

    def wait_step(self, step: int, attempt: int = 1) -> dict[str, int]:
        """Wait until status.json shows an attempt at a step; the pids."""

        def reached() -> dict[str, int] | None:
            status = self.status
            here = status.get("attempt") == attempt and status.get("state") == "running"
            return status["pids"] if here and (status.get("step") or 0) >= step else None

        return dict(self.wait(reached))

    def wait_successor(self, before: dict[str, int]) -> dict[str, int]:
        """Wait for another daemon than in `before`, and ten more steps; the pids then."""
        step = int(self.wait(lambda: self.status["step"]))
        self.wait(lambda: self.pids["daemon"] != before["daemon"])
        return self.wait_step(step + 10)

    def wait_state(self, active: str) -> None:
        """Wait for the unit's ActiveState."""
        self.wait(lambda: self.fact("ActiveState") == active)

    def strays(self) -> list[str]:
        """Processes of the run that still live, as paths in /proc."""
        mark = f"SUPERVISOR_RUN_DIR={self.run_dir}"
        found = self.machine.run(
            "grep", "-lsa", mark, "-r", "/proc", "--include=environ", check=False
        )
        return found.stdout.split()

    def close(self) -> None:
        """End the unit in any state."""
        self.systemctl("disable", "--quiet", check=False)
        self.systemctl("kill", "--signal=KILL", "--kill-whom=all", check=False)
        self.systemctl("stop", check=False)
        self.systemctl("reset-failed", check=False)


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A booted machine. Without systemd the test fails, and is not skipped."""
    assert missing() is None, missing()
    machine = Machine(tmp_path_factory.mktemp("systemd"))
    try:
        machine.boot()
        yield machine
    finally:
        machine.destroy()


@pytest.fixture
def unit(machine: Machine, request: pytest.FixtureRequest) -> Iterator[UnitUnderTest]:
    """A run that is not installed yet."""
    name = request.node.name.removeprefix("test_").replace("_", "-")[:60]
    unit = UnitUnderTest(machine, name)
    yield unit
    unit.close()


@pytest.fixture
def memory_limit(machine: Machine) -> Iterator[MemoryLimit]:
    """A memory limit for a trainer."""
    limit = MemoryLimit(machine.cgroup)
    yield limit
    limit.close()
