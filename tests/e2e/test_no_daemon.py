"""An upgrade breaks the daemon: training goes on, the cause is shown, and a repair ends it."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import supervisor
from tests.e2e.conftest import Supervised, uninterrupted

BROKEN = "core/rules/restart_policy.py"


class Installed(Supervised):
    """A run under an installation of its own, which a test may break."""

    def __init__(self, folder: Path) -> None:
        self.package = folder / "installation" / "supervisor"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(Path(supervisor.__file__).parent, self.package, ignore=ignored)
        super().__init__(folder)

    def configure(self, **more: object) -> None:
        """Configure the run; the trainer uses the same installation."""
        env = {"PYTHONPATH": str(self.package.parent), **dict(more.pop("env", {}))}
        super().configure(env=env, **more)

    def start(self, *options: str):  # type: ignore[no-untyped-def]
        """Start the installation's `supervisor run`."""
        os.environ["PYTHONPATH"] = str(self.package.parent)
        return super().start(*options)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installed]:
    """A run with an installation of its own."""
    monkeypatch.setenv("PYTHONPATH", "")
    installed = Installed(tmp_path)
    yield installed
    installed.close()


def test_a_broken_upgrade_costs_no_training_and_is_said_everywhere(run: Installed) -> None:
    """Terminal and `status` name the cause while no daemon lives; the repaired one takes over."""
    run.configure(hold=30)
    run.start()
    trainer = run.wait_step(3)
    source = run.package / BROKEN
    whole = source.read_text()
    source.write_text("raise RuntimeError('half an upgrade')\n" + whole)
    os.kill(run.status["pids"]["daemon"], signal.SIGKILL)
    run.wait(run.paths.no_daemon.exists)
    said = run.wait(
        lambda: (s := json.loads(run.paths.no_daemon.read_text()))["failures"] > 2 and s
    )
    assert said["why"] == "exited with 1: RuntimeError: half an upgrade"
    assert "NO DAEMON, 3 in a row died: the daemon exited with 1: RuntimeError: half" in run.text
    assert "(training goes on)" in run.text
    source.write_text(whole)
    seen = json.loads(run.command("status", "--json").stdout)
    assert seen["no_daemon"]["why"] == said["why"]
    text = " ".join(run.command("status").stdout.split())
    assert "daemon NONE: " in text
    assert "RuntimeError: half an upgrade" in text
    os.kill(trainer, 0)
    run.wait(lambda: not run.paths.no_daemon.exists())
    assert json.loads(run.command("status", "--json").stdout)["no_daemon"] is None
    assert run.status["pids"]["trainer"] == trainer
    run.let_go()
    assert run.finish() == 0
    assert len(run.entries("attempt_started")) == 1
    assert run.weight() == uninterrupted()


def test_an_end_under_no_daemon_is_judged_by_the_next(run: Installed) -> None:
    """The trainer finishes without a daemon: no launch, and the repaired daemon judges its end."""
    run.configure(hold=10)
    run.start()
    run.wait_step(3)
    source = run.package / BROKEN
    whole = source.read_text()
    source.write_text("def (\n")
    os.kill(run.status["pids"]["daemon"], signal.SIGKILL)
    run.let_go()
    run.wait(lambda: run.strays() == [])
    run.wait(lambda: "SyntaxError" in run.text and run.paths.no_daemon.exists())
    source.write_text(whole)
    assert run.finish() == 0
    (end,) = run.entries("attempt_ended")
    assert (end["code"], end["failure"]) == (0, "completed")
    assert sys.executable in run.entries("attempt_started")[0]["command"]
