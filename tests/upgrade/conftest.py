"""Runs whose installation is replaced while they train."""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import TRAINER, Supervised, uninterrupted
from tests.upgrade.installation import THIS, Installation, unpack_before


class Living(Supervised):
    """A run whose installation changes while it trains; it begins with the previous version."""

    weights = "model.pt"

    def __init__(self, folder: Path) -> None:
        self.site = Installation(folder / "site")
        self.before = unpack_before(folder / "before")
        self.site.install(self.before)
        super().__init__(folder)
        self.python = self.site.python
        self.environ = {"PYTHONPATH": ""}
        self.configure()

    def configure(self, *, hold: int | None = None, script: Path = TRAINER, **more: Any) -> None:
        """Write the configuration; the trainer uses the installation's Python."""
        super().configure(hold=hold, **{"command": [self.site.python, str(script)], **more})

    def upgrade(self) -> None:
        """Install this version instead of the previous one."""
        self.site.remove()
        self.site.install(THIS)

    def downgrade(self) -> None:
        """Install the previous version again."""
        self.site.remove()
        self.site.install(self.before)

    def kill_daemon(self) -> None:
        """Kill the daemon, and wait until the next one writes the status."""
        daemon = self.status["pids"]["daemon"]
        os.kill(daemon, signal.SIGKILL)
        self.wait_other_daemon(daemon)

    def reload(self) -> None:
        """Run the installed version's `supervisor reload`."""
        daemon = self.status["pids"]["daemon"]
        done = self.command("reload")
        assert done.returncode == 0, done.stderr
        self.wait_other_daemon(daemon)

    def wait_other_daemon(self, daemon: int) -> None:
        """Wait until another daemon writes the status."""
        self.wait(lambda: self.status.get("pids", {}).get("daemon") not in (None, daemon))

    def kill_trainer(self, attempt: int) -> None:
        """Kill the trainer, and wait until the next attempt has begun."""
        os.kill(self.status["pids"]["trainer"], signal.SIGKILL)
        self.wait(lambda: len(self.entries("attempt_started")) == attempt + 1)

    @property
    def steps_done(self) -> list[int]:
        """The steps that the trainers of all attempts printed."""
        return [int(step) for step in re.findall(r"^step (\d+)", self.log, re.MULTILINE)]

    @property
    def events(self) -> list[dict[str, Any]]:
        """The daemons' entries in supervisor.log."""
        return [json.loads(line) for line in self.paths.log.read_text().splitlines()]

    def check_quiet(self) -> None:
        """Check that neither version left out a message or reported an error."""
        for sign in ("internal error", "the daemon asked for", "no message", "Traceback"):
            assert sign not in self.text, self.text
        wrong = [one for one in self.events if one["level"] in ("error", "critical")]
        assert wrong == []

    def check_end(self, attempts: int = 1, *, is_quiet: bool = True) -> None:
        """Check the weights of an uninterrupted run, reached in so many attempts."""
        assert self.finish() == 0
        assert len(self.entries("attempt_started")) == attempts
        assert len(self.entries("attempt_ended")) == attempts
        path = self.run_dir / f"checkpoint-{self.steps}" / self.weights
        assert float(path.read_text()) == uninterrupted()
        if is_quiet:
            self.check_quiet()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Living]:
    """A run of the previous version, in its own installation."""
    living = Living(tmp_path)
    yield living
    living.close()
