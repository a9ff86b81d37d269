"""A real S3 server of this machine, and runs with the example hooks as they stand."""

import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
import yaml

from supervisor.rundir.ledger import read_ledger
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.status_file import read_status
from tests.rigs.monitoring.test_monitoring import free_port
from tests.rigs.waiting import wait_until

EXAMPLES = Path(__file__).parents[3] / "configs" / "hooks"
TRAINER = Path(__file__).parents[2] / "e2e" / "trainer.py"
TOOLS = Path(os.environ.get("HOOKS_TOOLS", "/nonexistent"))
_FOREIGN = re.compile(r"AWS_|RCLONE_|SLURM_|.*_proxy$", re.IGNORECASE)


class Example:
    """A project with the example hooks in hooks/, and its runs."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        # Nothing of this machine's own way to a cloud.
        kept = {name: text for name, text in os.environ.items() if not _FOREIGN.match(name)}
        self.environ = {**kept, "PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}"}
        self.log = folder / "output.txt"
        shutil.copytree(EXAMPLES, folder / "hooks")

    def configure(self, example: str, **more: Any) -> Path:
        """Write the example's configuration, with our trainer; `env` values become text."""
        body = yaml.safe_load((EXAMPLES / f"{example}.yaml").read_text())
        body["command"] = [sys.executable, str(TRAINER)]
        del body["resume"]["args"]  # this trainer attaches
        body |= {"run_dir": "run", **more}
        body["env"] = {key: str(value) for key, value in body.get("env", {}).items()}
        path = self.folder / f"{example}.yaml"
        path.write_text(yaml.safe_dump(body))
        return path

    def start(self, path: Path) -> "subprocess.Popen[bytes]":
        """Start a run."""
        log = self._stack.enter_context(self.log.open("a"))
        process = subprocess.Popen(
            [sys.executable, "-m", "supervisor", "run", str(path), "--plain"],
            cwd=self.folder, env=self.environ, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)
        return process

    def finish(self, process: "subprocess.Popen[bytes]") -> int:
        """Wait for the end of a run; its exit code."""
        wait_until(lambda: process.poll() is not None, 120, story=self.log.read_text)
        return int(process.returncode)

    def check(self, path: Path) -> str:
        """What `supervisor check` says."""
        answer = subprocess.run(
            [sys.executable, "-m", "supervisor", "check", str(path)],
            cwd=self.folder, env=self.environ, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return answer.stdout

    @property
    def paths(self) -> RunPaths:
        """The record of the run."""
        return RunPaths(self.folder / "run")

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """The entries of one type in the ledger."""
        path = self.paths.ledger
        return [e for e in read_ledger(path) if e["type"] == kind] if path.exists() else []

    def state(self) -> str | None:
        """The run's state."""
        status = read_status(self.paths.status)
        return None if status is None else status.state

    def step(self) -> int:
        """The step that the run is at."""
        status = read_status(self.paths.status)
        return (status.step or 0) if status is not None else 0

    def hook_log(self, name: str) -> str:
        """What a hook printed."""
        path = self.paths.hook_logs / f"{name}.log"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Example]:
    """Everything that it starts is ended with the test."""
    with ExitStack() as stack:
        yield Example(tmp_path, stack)


class Bucket:
    """A bucket on a server of this machine, as one of the tools reaches it."""

    def __init__(self, example: Example, tool: str, address: str) -> None:
        self.tool, self._name = tool, f"checkpoints-{uuid.uuid4().hex}"
        self._address = f"{address}/{self._name}"
        prefix = f"s3://{self._name}/runs" if tool == "aws" else f"store:{self._name}/runs"
        example.environ |= {
            "AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "hunter2hunter2",
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": address,
            "RCLONE_CONFIG_STORE_TYPE": "s3", "RCLONE_CONFIG_STORE_PROVIDER": "Other",
            "RCLONE_CONFIG_STORE_ENV_AUTH": "true", "RCLONE_CONFIG_STORE_ENDPOINT": address,
            "BUCKET": prefix, "RCLONE_RETRIES": "1", "AWS_MAX_ATTEMPTS": "1",
        }  # fmt: skip
        self._ask("PUT")

    def _ask(self, method: str, rest: str = "") -> str:
        """Ask the server itself: starting the AWS CLI takes a second."""
        # The server checks no signature, but an object is for those alone who have one.
        signed = {"Authorization": "AWS someone:signature"}
        with urlopen(Request(self._address + rest, method=method, headers=signed)) as answer:
            text: str = answer.read().decode()
            return text

    def names(self) -> list[str]:
        """The keys of all objects, below the run's folder."""
        keys = re.findall("<Key>(.*?)</Key>", self._ask("GET", "?list-type=2"))
        start = "runs/bucket/"
        return [key.removeprefix(start) for key in keys if key.startswith(start)]

    def copies(self) -> dict[str, str]:
        """The names of the checkpoints that have a marker, with the numbers of the copies."""
        markers = [name for name in self.names() if name.endswith(".complete")]
        lines = {
            name: self._ask("GET", f"/runs/bucket/{quote(name)}").splitlines() for name in markers
        }
        return {
            words[-1].removeprefix("checkpoint "): name.removesuffix(".complete")
            for name, words in lines.items()
        }

    def remove(self, name: str) -> None:
        """Remove an object."""
        assert name in self.names()
        self._ask("DELETE", f"/runs/bucket/{quote(name)}")


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an S3 server of this machine."""
    port, path = free_port(), tmp_path_factory.mktemp("store") / "server.log"
    with path.open("w") as log:
        server = subprocess.Popen(
            [str(TOOLS / "moto_server"), "-p", str(port)], stdout=log, stderr=log
        )
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return urlopen(address).status == 200
        except OSError:
            return False

    try:
        wait_until(answers, 60, story=path.read_text)
        yield address
    finally:
        server.kill()
        server.wait()


@pytest.fixture(params=["rclone", "aws"])
def bucket(example: Example, store: str, request: pytest.FixtureRequest) -> Bucket:
    """An empty bucket."""
    return Bucket(example, request.param, store)
