"""Runs that begin as a user types them: `supervisor run -- COMMAND…`, and what the terminal says.

What has to be written into the configuration is taken from what the supervisor says, word for word.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from supervisor.rundir.paths import RunPaths
from tests.e2e.conftest import Supervised
from tests.integrations.trainers import ONE_THREAD, SCRIPTS, trainers_python

# A launch imports torch and a library, on a machine that does other things, too.
PATIENCE_S = 300.0
SLOW_S = 0.3
# A line of the configuration, as messages quote it: `checkpoints: {directory: out}`.
_LINE = re.compile(r"`((?:checkpoints|resume): \{[^`]*\})`")


class TypedRun(Supervised):
    """A run of a command of the trainers' Python, in a folder of its own."""

    def __init__(self, folder: Path, library: str, name: str) -> None:
        super().__init__(folder)
        self.python_of_trainer = trainers_python(library)
        self.run_dir = folder / "runs" / name
        self.paths = RunPaths(self.run_dir)
        self.config = self.run_dir / "config.yaml"
        self.words: list[str] = []
        bin_dir = str(Path(self.python_of_trainer).parent)
        self.environ = {**ONE_THREAD, "PATH": f"{bin_dir}:{os.environ['PATH']}"}

    def configure(self, **_: Any) -> None:
        """Nothing: the first start writes the configuration."""

    def script(self, name: str, *words: str) -> list[str]:
        """The command of a script of one process."""
        return [self.python_of_trainer, str(SCRIPTS / name), *words]

    def torchrun(self, name: str, *words: str) -> list[str]:
        """The command of a script of two ranks."""
        return ["torchrun", "--standalone", "--nproc-per-node", "2", str(SCRIPTS / name), *words]

    def type(self, *words: str, step_s: float) -> "subprocess.Popen[str]":
        """Type `supervisor run -- WORDS`; each step takes at least `step_s`."""
        command = [sys.executable, "-m", "supervisor", "run", "--plain", "--", *words]
        # ultralytics saves elsewhere where it sees pytest's variables.
        own = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")}
        with self.output.open("a") as out:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdout=out, stderr=subprocess.STDOUT, text=True,
                env={**own, **self.environ, "STEP_S": str(step_s)},
            )  # fmt: skip
        return self.process

    def alone(self, *words: str, folder: Path, more: Mapping[str, str] | None = None) -> None:
        """Run a command in a folder, without a supervisor and at full speed."""
        folder.mkdir(exist_ok=True)
        kept = {name: os.environ[name] for name in ("HOME",) if name in os.environ}
        done = subprocess.run(
            words, cwd=folder, env={**kept, **self.environ, **(more or {})}, check=False,
            capture_output=True, text=True, timeout=PATIENCE_S,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def shows(self, claim: Callable[[], Any]) -> Any:
        """Wait until something is true; its value."""
        return self.wait(claim, PATIENCE_S)

    def trainer(self, attempt: int) -> int:
        """Wait until an attempt runs; its main process."""

        def running() -> int | None:
            status = self.status
            is_here = status.get("attempt") == attempt and status.get("state") == "running"
            return status["pids"]["trainer"] if is_here else None

        return int(self.shows(running))

    def kill_when(self, attempt: int, claim: Callable[[], Any]) -> None:
        """Kill the main process of an attempt once something is true."""
        pid = self.trainer(attempt)
        self.shows(claim)
        os.kill(pid, signal.SIGKILL)

    def printed(self, attempt: int, step: int) -> Callable[[], bool]:
        """Whether the log of an attempt shows a step."""

        def is_printed() -> bool:
            status = self.status
            shown = (status.get("printed") or {}).get("step") or status.get("step") or 0
            return status.get("attempt") == attempt and shown >= step

        return is_printed

    def stop(self) -> int:
        """Ask `supervisor run` to stop, as a scheduler does; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.finish(PATIENCE_S)

    def write_what_is_told(self, text: str, **filled: str) -> list[str]:
        """Write the lines of configuration that a message quotes; returns them.

        Where it names two ways for one key, the first is taken, as a reader would who trusts it.
        """
        lines: dict[str, str] = {}
        for line in _LINE.findall(text):
            lines.setdefault(line.partition(":")[0], line)
        document = yaml.safe_load(self.config.read_text())
        for line in lines.values():
            for key, value in yaml.safe_load(line).items():
                document[key] = {**(document.get(key) or {}), **value}
        self.config.write_text(yaml.safe_dump(document))
        return list(lines.values())

    def go_through(
        self,
        command: list[str],
        saves: Callable[[], list[Path]],
        tear: Callable[[Path], None],
        step_s: float = SLOW_S,
    ) -> list[str]:
        """Begin; write what is told; then a kill, a stop, a torn newest save, and on to the end.

        Returns the lines that were written. `saves`: the saves that are there, oldest first.
        """
        self.type(*command, step_s=step_s)
        self.shows(lambda: "the trainer saves into" in self.text)
        said = self.text
        assert ", and tell it how to resume (" in said
        self.shows(lambda: self.status.get("warnings"))
        shown = " ".join(self.command("status").stdout.split())
        assert "until then the run is held at its next failure" in shown
        assert self.stop() == 75
        assert "stopped by SIGTERM; no checkpoint is seen: the trainer saves into" in self.text
        told = self.write_what_is_told(said)
        self.type(*command, step_s=step_s)
        self.trainer(2)
        before = set(saves())
        self.kill_when(2, lambda: set(saves()) - before)
        self.trainer(3)
        before = set(saves())
        self.shows(lambda: set(saves()) - before)
        assert self.stop() == 75
        intact, torn = saves()[-2:]
        tear(torn)
        self.type(*command, step_s=0.0)
        assert self.finish(PATIENCE_S) == 0, self.text
        assert f"{torn.name} is set aside (invalid)" in self.text
        first, *later = self.resumed_from()
        assert (first, len(later), later[-1]) == (None, 3, intact.name), self.text
        story = " ".join(self.command("events").stdout.split())
        assert "the trainer saves into" in story
        assert "SIGKILL" in story
        return told

    def resumed_from(self) -> list[str | None]:
        """The name of the checkpoint from which each attempt went on."""
        found = (entry["checkpoint"] for entry in self.entries("attempt_started"))
        return [None if one is None else Path(one["path"]).name for one in found]


def by_number(folder: Path, pattern: str) -> list[Path]:
    """The paths that a pattern matches, by the last number in their names."""
    return sorted(
        folder.glob(pattern),
        key=lambda path: int(re.findall(r"\d+", str(path.relative_to(folder)))[-1]),
    )


def cut(path: Path) -> None:
    """Cut a file off in its middle, as a machine that dies does; a stop may have come before it."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
