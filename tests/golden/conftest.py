"""The runs of tests/e2e; a launch is warm only if the scenario says so.

A scenario must come out the same each time, on a busy machine, too. So a trainer holds (HOLD)
before the test kills it, and the test waits for what the daemon looks for at its own pace.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Supervised

OVERHEARD = Path(__file__).with_name("overheard.py")
RELAY = Path(__file__).with_name("relay.py")


class Cold(Supervised):
    """A run without a parked interpreter, whose notes and messages come in no fixed order."""

    def configure(
        self, *, hold: int | None = None, faults: dict[str, Any] | None = None, **more: Any
    ) -> None:
        """Write the configuration. `faults`: the trainer's FAULTS."""
        env = dict(more.pop("env", {}))
        if faults is not None:
            env["FAULTS"] = json.dumps(faults)
        super().configure(hold=hold, env=env, **{"launch": {"mode": "cold"}, **more})

    def script(self, text: str, **more: Any) -> None:
        """Configure a run of this Python program."""
        (self.folder / "t.py").write_text(text)
        self.configure(command=[sys.executable, "t.py"], **more)

    def wait_saved(self, step: int) -> None:
        """Wait until the status shows a checkpoint: the daemon looks for them at its own pace."""
        self.wait(lambda: (self.status["checkpoint"] or {}).get("step") == step)


class Overheard(Cold):
    """A run whose messages between launcher and daemon are all kept."""

    @property
    def relay(self) -> list[str]:
        """The relay between launcher and daemon, and its argument."""
        return [str(RELAY), str(self.heard)]

    @property
    def heard(self) -> Path:
        """The file of messages, one per line, behind "> " (to the daemon) or "< "."""
        return self.folder / "heard.txt"

    def start(self, *options: str) -> "subprocess.Popen[str]":
        """Start `supervisor run` in the background."""
        words = ["run", str(self.config), *options]
        with self.output.open("a") as out:
            self.process = subprocess.Popen(
                [sys.executable, str(OVERHEARD), *self.relay, *words],
                cwd=self.folder,
                env={**os.environ, **self.environ},
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
            )
        return self.process


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Supervised]:
    """A run in a fresh directory."""
    supervised = Cold(tmp_path)
    yield supervised
    supervised.close()


@pytest.fixture
def overheard(tmp_path: Path) -> Iterator[Overheard]:
    """A run in a fresh directory, whose messages are kept."""
    supervised = Overheard(tmp_path)
    yield supervised
    supervised.close()


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory whose path always has the same length, because sentences with it are wrapped."""
    folder = Path(tempfile.mkdtemp(prefix="golden-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)
