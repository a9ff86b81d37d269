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
    """A run that lives through changes of its installation; it begins with the version before."""

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
        """Write the configuration; the trainer's Python is the installation's."""
        super().configure(hold=hold, **{"command": [self.site.python, str(script)], **more})

    def upgrade(self) -> None:
        """Put this version in the place of the other."""
        self.site.remove()
        self.site.install(THIS)

    def downgrade(self) -> None:
        """Put the version before in its place."""
        self.site.remove()
        self.site.install(self.before)

    def kill_daemon(self) -> None:
        """Kill it, and wait for the next one to say that it lives."""
        daemon = self.status["pids"]["daemon"]
        os.kill(daemon, signal.SIGKILL)
        self.wait_other_daemon(daemon)

    def reload(self) -> None:
        """`supervisor reload`, of the version now installed."""
        daemon = self.status["pids"]["daemon"]
        done = self.command("reload")
        assert done.returncode == 0, done.stderr
        self.wait_other_daemon(daemon)

    def wait_other_daemon(self, daemon: int) -> None:
        """Wait until another one than this writes the status."""
        self.wait(lambda: self.status.get("pids", {}).get("daemon") not in (None, daemon))

    def kill_trainer(self, attempt: int) -> None:
        """Kill it, and wait for the next attempt to have begun."""
        os.kill(self.status["pids"]["trainer"], signal.SIGKILL)
        self.wait(lambda: len(self.entries("attempt_started")) == attempt + 1)

    @property
    def steps_done(self) -> list[int]:
        """What the trainers did, step by step, of all attempts."""
        return [int(step) for step in re.findall(r"^step (\d+)", self.log, re.MULTILINE)]

    @property
    def events(self) -> list[dict[str, Any]]:
        """What the daemons wrote into supervisor.log."""
        return [json.loads(line) for line in self.paths.log.read_text().splitlines()]

    def check_quiet(self) -> None:
        """Nothing that one version said to another was left out, or was a fault."""
        for sign in ("internal error", "the daemon asked for", "no message", "Traceback"):
            assert sign not in self.text, self.text
        wrong = [one for one in self.events if one["level"] in ("error", "critical")]
        assert wrong == []

    def check_end(self, attempts: int = 1, *, is_quiet: bool = True) -> None:
        """The bits of a run to which nothing happened, by so many attempts."""
        assert self.finish() == 0
        assert len(self.entries("attempt_started")) == attempts
        assert len(self.entries("attempt_ended")) == attempts
        path = self.run_dir / f"checkpoint-{self.steps}" / self.weights
        assert float(path.read_text()) == uninterrupted()
        if is_quiet:
            self.check_quiet()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Living]:
    """A run of the version before, in an installation of its own."""
    living = Living(tmp_path)
    yield living
    living.close()
