"""One cluster for all tests of a pytest worker, and a run for each test."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from supervisor.rundir.ledger import read_ledger
from supervisor.rundir.paths import RunPaths
from tests.rigs.slurm.cluster import Cluster
from tests.rigs.slurm.machine import Machine, missing_programs
from tests.rigs.waiting import wait_until

TRAINER = Path(__file__).resolve().parents[1] / "trainer.py"
SUPERVISOR = [sys.executable, "-P", "-m", "supervisor"]


class JobUnderTest:
    """A configuration, the job that `supervisor sbatch` makes of it, and its run."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.run_dir = folder / "run"
        self.paths = RunPaths(self.run_dir)
        self.config = folder / "config.yaml"
        self.id = ""
        self.job_log = Path()
        self.configure()

    def configure(self, *, env: dict[str, Any] | None = None, **more: Any) -> None:
        """Write the configuration; `env` values become text."""
        body: dict[str, Any] = {
            "name": "rig",
            "command": self.command(),
            "run_dir": "run",
            "restart": {"backoff": "0.1s", "backoff_max": "0.3s"},
            "grace": "8s",
            "env": {key: str(value) for key, value in (env or {}).items()},
        }
        self.config.write_text(yaml.safe_dump(body | more))

    def supervisor(
        self, *words: str, on: Machine | None = None, check: bool = True, **env: str
    ) -> str:
        """Run a `supervisor` command on the login node or another machine; its output."""
        machine = on or self.cluster.login
        done = machine.run(*SUPERVISOR, *words, check=check, cwd=self.folder, **env)
        return done.stdout + ("" if check else done.stderr)

    def submit(self, *options: str, own: tuple[str, ...] = (), **env: str) -> str:
        """Run `supervisor sbatch` with its `own` options and `options` for sbatch; the job's id."""
        said = self.supervisor("sbatch", str(self.config), "--json", *own, "--", *options, **env)
        body = json.loads(said)
        self.id, self.job_log = body["job_id"], Path(body["log"])
        return self.id

    @property
    def status(self) -> dict[str, Any]:
        """status.json, empty before there is one."""
        try:
            return dict(json.loads(self.paths.status.read_text()))
        except (OSError, ValueError):
            return {}

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """The ledger's entries of one type."""
        return [entry for entry in read_ledger(self.paths.ledger) if entry["type"] == kind]

    @property
    def attempts(self) -> int:
        """The number of started attempts."""
        return len(self.entries("attempt_started"))

    @property
    def log(self) -> str:
        """train.log."""
        return _read(self.paths.train_log)

    @property
    def said(self) -> str:
        """The job's log."""
        return _read(self.job_log)

    def saved(self) -> dict[str, Any]:
        """The manifest of the newest checkpoint; step 0 without one."""
        found = [json.loads(path.read_text()) for path in self.run_dir.glob("*/manifest.json")]
        return max(found, key=lambda manifest: int(manifest["step"]), default={"step": 0})

    def begun_at(self, attempt: int, timeout_s: float = 90) -> int:
        """Wait for an attempt's line about the step at which it begins; that step."""
        mark = f"attempt {attempt} begins at step "

        def found() -> str | None:
            return next((line for line in self.log.splitlines() if mark in line), None)

        return int(str(self.wait(found, timeout_s)).removeprefix(mark).split()[0])

    def wait(self, claim: Callable[[], Any], timeout_s: float = 60) -> Any:
        """Wait until a claim is true; its value."""
        return wait_until(claim, timeout_s, story=self._story)

    def _story(self) -> str:
        ledger = [{k: v for k, v in e.items() if k != "at"} for e in read_ledger(self.paths.ledger)]
        recent = "\n".join(str(entry) for entry in ledger[-12:])
        job = self.cluster.job(self.id)
        return f"{self.said[-3000:]}\n{self.log[-1500:]}\n{recent}\n{job}\n{self.cluster.story()}"

    def wait_step(self, step: int, attempt: int = 1, timeout_s: float = 90) -> dict[str, Any]:
        """Wait until status.json shows an attempt at a step; the status."""

        def reached() -> dict[str, Any] | None:
            status = self.status
            here = status.get("attempt") == attempt and status.get("state") == "running"
            return status if here and (status.get("step") or 0) >= step else None

        return dict(self.wait(reached, timeout_s))

    def wait_state(self, *states: str, timeout_s: float = 60) -> str:
        """Wait for one of these states of the job."""
        return str(
            self.wait(lambda: (now := self.cluster.state(self.id)) in states and now, timeout_s)
        )

    @property
    def restarts(self) -> int:
        """How often SLURM has requeued the job."""
        return int(self.cluster.job(self.id).get("Restarts", 0))

    def node(self) -> str:
        """The node that the job runs on."""
        return str(self.wait(lambda: self.cluster.job(self.id).get("BatchHost")))

    def preempt(self, seconds: int = 1) -> str:
        """Submit a job of partition `high` that takes this job's whole node for a while; its id."""
        done = self.cluster.login.run(
            "sbatch", "--parsable", "--partition=high", "--exclusive", "--output=/dev/null",
            f"--nodelist={self.node()}", f"--wrap=sleep {seconds}", cwd=self.folder,
        )  # fmt: skip
        return done.stdout.strip()

    def command(self) -> list[str]:
        """The trainer's command."""
        return [sys.executable, "-P", str(TRAINER)]

    def copied_script(self, config: str) -> str:
        """Copy slurm/train.sbatch as a user would, with CONFIG and program corrected; its path."""
        text = (Path(__file__).resolve().parents[3] / "slurm" / "train.sbatch").read_text()
        text = text.replace("CONFIG=configs/train.yaml", f"CONFIG={config}")
        text = text.replace("exec supervisor", f"exec {' '.join(SUPERVISOR)}")
        path = self.folder / "train.sbatch"
        path.write_text(text)
        return str(path)

    def launcher(self) -> int:
        """The pid of `supervisor run` on its node, which is the batch script's process."""
        return int(self.wait(lambda: (self.status.get("pids") or {}).get("launcher")))

    def signal(self, number: int) -> None:
        """Signal `supervisor run` on its node, as slurmstepd would."""
        self.cluster.nodes[self.node()].kill(self.launcher(), number)

    def ends_of(self, attempt: int) -> dict[str, Any]:
        """The ledger's entry of an attempt's end."""

        def found() -> dict[str, Any] | None:
            ended = self.entries("attempt_ended")
            return next((entry for entry in ended if entry["attempt"] == attempt), None)

        return dict(self.wait(found))

    def strays(self) -> list[str]:
        """Processes of the run that still live, on any machine."""
        mark = f"SUPERVISOR_RUN_DIR={self.run_dir}"
        found = []
        for machine in self.cluster.machines:
            if machine.is_up:
                words = ("grep", "-lsa", mark, "-r", "/proc", "--include=environ")
                shown = machine.run(*words, check=False).stdout.split()
                found += [f"{machine.name}:{path}" for path in shown]
        return found


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running cluster; skipped without SLURM's packages, which `.ci/run` does not allow."""
    if (lacking := missing_programs()) is not None:
        pytest.skip(lacking)
    cluster = Cluster(tmp_path_factory.mktemp("c"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def job(cluster: Cluster, tmp_path: Path) -> Iterator[JobUnderTest]:
    """A run that is not submitted yet."""
    job = JobUnderTest(cluster, tmp_path)
    yield job
    cluster.cancel_all()
