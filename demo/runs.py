"""The two runs of the demo: one under the supervisor, one without it. It checks no result."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import yaml

from demo.victim import Victim
from supervisor.checkpoint.format import MANIFEST, Manifest
from supervisor.core.entries.attempt import AttemptStartedEntry, FirstStepEntry
from supervisor.core.entries.entry import Entry
from supervisor.core.entries.saves import CheckpointVerdictEntry
from supervisor.rundir.ledger_entries import iterate_entries
from supervisor.rundir.paths import RunPaths

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "configs" / "demo.yaml"
POLL_S = 0.02
# The thread count decides the order of sums, so both runs get the same; each then has its own core.
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

Found = TypeVar("Found")
E = TypeVar("E", bound=Entry)


class DemoError(Exception):
    """An expected event did not happen; the message names it."""


def newest_checkpoint(directory: Path) -> Path:
    """The checkpoint with the highest step in its manifest. Raises DemoError if there is none."""
    found: list[tuple[int, int, Path]] = []
    for manifest in directory.glob(f"checkpoint-*/{MANIFEST}"):
        path = manifest.parent
        try:
            found.append((step_of(path), path.stat().st_mtime_ns, path))
        except FileNotFoundError:
            continue  # pruned between the listing and the look
    if not found:
        raise DemoError(f"no checkpoint in {directory}")
    return max(found)[2]


def step_of(checkpoint: Path) -> int:
    """The step in the manifest. Raises OSError, ManifestError."""
    return Manifest.from_bytes((checkpoint / MANIFEST).read_bytes()).step


class Run:
    """A process with its output in a file."""

    def __init__(self, name: str, argv: list[str], output: Path) -> None:
        self.name = name
        self.output = output
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                argv,
                cwd=ROOT,
                env={**os.environ, **THREADS, "PATH": path},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def wait(self, timeout_s: float) -> int:
        """Wait for its exit code. Raises DemoError after the timeout."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise DemoError(f"{self.name} did not end within {timeout_s:.0f} s") from None

    def end(self) -> None:
        """End the process: SIGTERM, a wait of 30 s, then SIGKILL."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def last_lines(self, count: int = 15) -> str:
        """The end of the process's output."""
        lines = self.output.read_text(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-count:])


class SupervisedRun(Run):
    """`supervisor run`, read through the files that any operator has."""

    def __init__(self, directory: Path) -> None:
        self.paths = RunPaths(directory / "supervised")
        config = directory / "supervised.yaml"
        settings = yaml.safe_load(CONFIG.read_text())
        settings.update(name="demo", run_dir=str(self.paths.run_dir))
        settings.setdefault("checkpoints", {}).pop("directory", None)
        config.write_text(yaml.safe_dump(settings, sort_keys=False))
        self.command: list[str] = settings["command"]
        argv = [sys.executable, "-m", "supervisor", "run", str(config)]
        super().__init__("the supervised run", argv, directory / "supervised.out")

    def entries(self, kind: type[E]) -> list[E]:
        """The ledger's entries of one kind, oldest first."""
        entries = (noted.entry for noted in iterate_entries(self.paths.ledger))
        return [entry for entry in entries if isinstance(entry, kind)]

    def attempt(self, number: int, timeout_s: float = 60.0) -> Victim:
        """The trainer of attempt `number`, once the attempt has finished its first step."""
        self.until(
            f"the first step of attempt {number}",
            lambda: self.first_step(number),
            timeout_s,
        )
        pid = self.started(number).pid
        assert pid is not None
        return Victim.of_attempt(pid, number)

    def started(self, number: int) -> AttemptStartedEntry:
        """The entry of this attempt's start. Raises StopIteration if the ledger has none."""
        return next(one for one in self.entries(AttemptStartedEntry) if one.attempt == number)

    def first_step(self, number: int) -> FirstStepEntry | None:
        """The entry of this attempt's first step; None before the ledger has it."""
        return next((one for one in self.entries(FirstStepEntry) if one.attempt == number), None)

    def progress(self, number: int) -> int:
        """Wait until attempt `number` has a new, validated checkpoint; the checkpoint's step."""
        source = self.started(number).checkpoint
        before = (source.step if source is not None else None) or 0

        def newer() -> int | None:
            found = [one.step for one in self.entries(CheckpointVerdictEntry) if one.valid]
            return max((step for step in found if step is not None and step > before), default=None)

        return self.until(f"a validated checkpoint of attempt {number}", newer)

    def until(self, what: str, seen: Callable[[], Found | None], timeout_s: float = 60.0) -> Found:
        """Poll until `seen` returns something. Raises DemoError at the timeout or the run's end."""
        deadline = time.monotonic() + timeout_s
        while True:
            has_ended = self.process.poll() is not None
            found = seen()
            if found:
                return found
            if has_ended:
                raise DemoError(f"supervisor exited {self.process.returncode} before {what}")
            if time.monotonic() > deadline:
                raise DemoError(f"no sign of {what} within {timeout_s:.0f} s")
            time.sleep(POLL_S)

    def ask(self, *arguments: str) -> str:
        """The output of `supervisor` with these arguments and the run directory."""
        done = subprocess.run(
            [sys.executable, "-m", "supervisor", *arguments, str(self.paths.run_dir)],
            capture_output=True, text=True, cwd=ROOT, timeout=60, check=False,
        )  # fmt: skip
        return done.stdout + done.stderr


class UninterruptedRun(Run):
    """The same command without hits and without a supervisor."""

    def __init__(self, directory: Path, command: list[str]) -> None:
        self.directory = directory / "uninterrupted"
        self.directory.mkdir()
        argv = [sys.executable if word == "python" else word for word in command]
        argv += ["--output-dir", str(self.directory)]
        super().__init__("the uninterrupted run", argv, directory / "uninterrupted.out")
