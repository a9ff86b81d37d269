"""What changed since the last good attempt: in whole runs, with a Python environment of their own.

The environment is made by hand: a link to this Python, `pyvenv.cfg`, and folders of metadata.
"""

import os
import shutil
import signal
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import TRAINER, Supervised

ROOT = TRAINER.parents[2]


class Apart(Supervised):
    """A run whose trainer has an environment and a script of its own."""

    def __init__(self, folder: Path) -> None:
        venv = folder / "venv"
        (venv / "bin").mkdir(parents=True)
        (venv / "bin" / "python").symlink_to(os.path.realpath(sys.executable))
        home = os.path.dirname(os.path.realpath(sys.executable))
        (venv / "pyvenv.cfg").write_text(f"home = {home}\nversion = 3.11.1\n")
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        self.packages = venv / "lib" / version / "site-packages"
        self.packages.mkdir(parents=True)
        self.install("deepspeed", "2.6.0")
        self.script = folder / "train.py"
        shutil.copy(TRAINER, self.script)
        super().__init__(folder)

    def configure(self, *, hold: int | None = None, **more: Any) -> None:
        """As any run, with the command of its own."""
        # The trainer's imports: ours, and those of the environment that the tests run in.
        paths = [str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
        env = {"PYTHONPATH": os.pathsep.join(paths), **more.pop("env", {})}
        command = [str(self.folder / "venv" / "bin" / "python"), str(self.script)]
        super().configure(hold=hold, **{"command": command, "env": env, **more})

    def install(self, name: str, version: str) -> None:
        """As `pip install`: the metadata of the version before is removed."""
        for old in self.packages.glob(f"{name}-*.dist-info"):
            old.rmdir()
        (self.packages / f"{name}-{version}.dist-info").mkdir()

    def told(self) -> dict[str, str]:
        """What the last entry says is different, in words that can be compared."""
        entry = self.entries("changed")[-1]
        return {one["what"]: f"{one['before']} → {one['after']}" for one in entry["differences"]}

    def kinds_of_changes(self) -> set[str]:
        """All kinds that were told. On a busy machine steps may take longer for a while."""
        return {one["kind"] for entry in self.entries("changed") for one in entry["differences"]}

    def records(self) -> list[str]:
        """The attempts whose records are kept."""
        return sorted(path.name for path in self.paths.surroundings.glob("*"))


@pytest.fixture
def apart(tmp_path: Path) -> Any:
    """A run with its own environment."""
    supervised = Apart(tmp_path)
    yield supervised
    supervised.close()


def test_what_changed_is_told_everywhere(apart: Apart) -> None:
    """A package and the script are exchanged between two attempts, and the second is killed."""
    run = apart
    run.configure(hold=15)
    process = run.start()
    trainer = run.wait_step(15)
    run.wait(lambda: run.entries("progress"))
    run.wait(lambda: run.records() == ["0001.json"])
    for path, mode in (
        (run.paths.surroundings, 0o700),
        (run.paths.surroundings / "0001.json", 0o600),
    ):
        assert stat.S_IMODE(path.stat().st_mode) == mode
    assert "PYTHONPATH" in (run.paths.surroundings / "0001.json").read_text()
    assert run.status["changed"] is None
    run.install("deepspeed", "2.7.1")
    run.install("einops", "0.8.0")
    run.script.write_text(run.script.read_text() + "\n# a change\n")
    os.kill(trainer, signal.SIGKILL)
    # Attempt 1 died in what it had begun in: there is nothing to tell.
    trainer = run.wait_step(15, 2)
    assert not run.entries("changed")
    run.wait(lambda: run.records() == ["0001.json", "0002.json"])
    os.kill(trainer, signal.SIGKILL)
    run.wait(lambda: run.entries("changed"))
    (entry,) = run.entries("changed")
    assert (entry["attempt"], entry["since"], entry["more"]) == (2, 1, 0)
    told = [one["what"] for one in entry["differences"] if one["kind"] != "step_time"]
    assert told == ["deepspeed", "train.py", "einops"]
    assert entry["differences"][0] == {
        "kind": "framework", "what": "deepspeed", "before": "2.6.0", "after": "2.7.1",
    }  # fmt: skip
    run.wait_step(15, 3)
    run.let_go()
    assert process.wait(60) == 0
    said = "changed since attempt 1: deepspeed 2.6.0 → 2.7.1, train.py edited"
    assert f"attempt 2: {said}" in run.text
    assert f"Attempt 2: {said}" in " ".join(run.command("events").stdout.split())
    incident = Path(run.entries("incident")[-1]["folder"])
    assert "deepspeed 2.6.0 → 2.7.1" in (incident / "changed.txt").read_text()
    # The last attempt has finished: its end needs no explanation.
    assert run.status["changed"] is None


def test_after_another_day(apart: Apart) -> None:
    """A stop, an upgrade, and a death before the first step: held, and told by `status`."""
    run = apart
    run.configure(hold=15)
    process = run.start()
    run.wait_step(15)
    run.wait(lambda: "0001.json" in run.records())
    process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    run.install("deepspeed", "2.7.1")
    run.script.write_text("import no_such_module_anywhere\n")
    run.configure(restart={"max_failures": 1})
    assert run.run() == 1
    said = "changed since attempt 1: deepspeed 2.6.0 → 2.7.1, train.py edited"
    assert said in run.text
    assert said in " ".join(run.command("status").stdout.split())
    changed = run.status["changed"]
    assert (changed["attempt"], changed["since"], changed["more"]) == (2, 1, 0)
    assert run.told()["deepspeed"] == "2.6.0 → 2.7.1"


def test_nothing_changed(apart: Apart) -> None:
    """Then nothing is said; nor of a stop."""
    run = apart
    run.configure(hold=15)
    process = run.start()
    os.kill(run.wait_step(15), signal.SIGKILL)
    os.kill(run.wait_step(15, 2), signal.SIGKILL)
    run.wait_step(15, 3)
    run.install("deepspeed", "2.7.1")
    process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    assert run.kinds_of_changes() <= {"step_time"}
    assert run.entries("changed") or "changed since" not in run.text


def test_a_daemon_that_is_replaced(apart: Apart) -> None:
    """The record of the attempt that runs is not taken again: packages may be others by then.

    Taken again, it would differ from attempt 1's, and that would be told at the attempt's end.
    """
    run = apart
    run.configure(hold=15)
    process = run.start()
    os.kill(run.wait_step(15), signal.SIGKILL)
    run.wait(lambda: run.entries("progress"))
    trainer = run.wait_step(15, 2)
    run.wait(lambda: run.records() == ["0001.json", "0002.json"])
    taken = (run.paths.surroundings / "0002.json").read_bytes()
    run.install("deepspeed", "2.7.1")
    daemon = run.status["pids"]["daemon"]
    os.kill(daemon, signal.SIGKILL)
    run.wait(lambda: run.status["pids"]["daemon"] != daemon)
    run.wait_step(15, 2)
    os.kill(trainer, signal.SIGKILL)
    run.wait_step(15, 3)
    # Attempt 2 makes no progress, so its record goes once attempt 3 has one.
    with suppress(FileNotFoundError):
        assert (run.paths.surroundings / "0002.json").read_bytes() == taken
    run.let_go()
    assert process.wait(60) == 0
    assert run.kinds_of_changes() <= {"step_time"}


def test_a_record_of_another_version(apart: Apart) -> None:
    """It is passed over, and so is what is no record; the run goes on."""
    run = apart
    run.configure(hold=15)
    run.start()
    trainer = run.wait_step(15)
    run.wait(lambda: "0001.json" in run.records())
    (run.paths.surroundings / "0001.json").write_text('{"format": 99}')
    run.install("deepspeed", "2.7.1")
    os.kill(trainer, signal.SIGKILL)
    trainer = run.wait_step(15, 2)
    run.wait(lambda: "0002.json" in run.records())
    os.kill(trainer, signal.SIGKILL)
    run.wait_step(15, 3)
    run.let_go()
    assert run.finish() == 0
    assert run.kinds_of_changes() <= {"step_time"}
