"""One supervised run of the soak: starts it again while it has to go on, and inspects it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.peers import ROOT
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.runtime_directory import SHARED_MEMORY

SCRIPT = str(ROOT / "benchmarks" / "training.py")
# -SIGTERM: a stop came before the interpreter of `supervisor run` had finished its imports. 69: the
# killed launcher's daemon still lets the trainer save, so the run is taken.
TRIED_AGAIN = (69, -signal.SIGKILL, -signal.SIGTERM)
GOES_ON = (75, *TRIED_AGAIN)
START_TIMEOUT_S = 120.0
STEP_S = 0.02
SAVE_STEPS = 25
SNAPSHOT_STEPS = 2


class SoakError(Exception):
    """A promise was broken."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """One line of the training's stamps file."""

    name: str
    pid: int
    step: int
    at_ns: int


def read_stamps(path: Path) -> list[Stamp]:
    """The stamps that a training wrote; empty before it has begun."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        name, pid, step, at = line.split()
        found.append(Stamp(name, int(pid), -1 if step == "-" else int(step), int(at)))
    return found


@dataclass(slots=True)
class SoakedRun:
    """A run in `folder`; `starts` counts how often `supervisor run` was called."""

    folder: Path
    steps: int
    launch: str = "auto"
    starts: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def paths(self) -> RunPaths:
        """The paths in the run directory."""
        return RunPaths(self.folder / "run")

    def script(self, output: Path) -> list[str]:
        """The training's command line without its interpreter."""
        words = [SCRIPT, "--stamps", str(self.folder / "stamps"), "--checkpoints", str(output)]
        words += ["--steps", str(self.steps), "--save-steps", str(SAVE_STEPS)]
        return [*words, "--snapshot-steps", str(SNAPSHOT_STEPS), "--step-s", str(STEP_S)]

    def configure(self) -> None:
        """Write the configuration; its budgets are so large that the faults cannot exhaust them."""
        body = {
            "name": "soak",
            "command": [sys.executable, *self.script(self.paths.run_dir)],
            "run_dir": str(self.paths.run_dir),
            "checkpoints": {"keep": 4},
            "restart": {"backoff": "100ms", "backoff_max": "500ms", "max_failures": 100_000,
                        "max_per_day": 100_000},
            "grace": "30s",
            "launch": {"mode": self.launch},
            "env": {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        }  # fmt: skip
        (self.folder / "soak.yaml").write_text(json.dumps(body))

    def start(self) -> None:
        """Call `supervisor run`."""
        self.starts += 1
        with (self.folder / "output.txt").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "supervisor", "run", str(self.folder / "soak.yaml")],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def command(self, word: str) -> int:
        """Run another `supervisor` command on this run; its exit code."""
        argv = [sys.executable, "-m", "supervisor", word, str(self.paths.run_dir)]
        return subprocess.run(
            argv, cwd=ROOT, capture_output=True, check=False, timeout=START_TIMEOUT_S
        ).returncode

    def environment(self) -> dict[str, str]:
        """The environment of a training without a supervisor."""
        return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def process_code(self) -> int | None:
        """The exit code of `supervisor run`; None while it runs."""
        assert self.process is not None
        return self.process.poll()

    def is_finished(self) -> bool:
        """Whether `supervisor run` has ended with the run finished."""
        return self.process_code() == 0

    def idle(self, seconds: float) -> None:
        """Keep the run going for so many seconds. Raises SoakError."""
        end = time.monotonic() + seconds
        self.until("time", lambda: time.monotonic() >= end or self.is_finished(), seconds + 60)

    def wait_for_end(self, is_over: Callable[[], bool], timeout_s: float) -> None:
        """Wait until `supervisor run` has ended and `is_over` holds. Raises SoakError."""
        deadline = time.monotonic() + timeout_s
        while (code := self.process_code()) is None or code in TRIED_AGAIN:
            if code is not None:
                # The next process that gets the run obeys the stop or hold, so call once more.
                time.sleep(0.1)
                self.start()
            if time.monotonic() > deadline:
                raise SoakError(f"it did not end within {timeout_s:.0f} s\n{self.tail()}")
            time.sleep(0.02)
        if not is_over():
            raise SoakError(f"it ended with {self.process_code()}\n{self.tail()}")

    def close(self) -> None:
        """Kill every process that is left of a round that failed."""
        if self.is_finished():
            return
        for process in self.parties():
            with suppress(psutil.Error):
                process.kill()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def keep_going(self) -> int | None:
        """Start the run again if it ended to be continued; its exit code if it ended for good."""
        assert self.process is not None
        code = self.process.poll()
        if code is None:
            return None
        if code not in GOES_ON:
            return code
        time.sleep(0.1)
        self.start()
        return None

    def until(self, what: str, claim: Callable[[], bool], timeout_s: float) -> None:
        """Wait for `claim` while the run is kept going. Raises SoakError."""
        deadline = time.monotonic() + timeout_s
        while not claim():
            code = self.keep_going()
            if code is not None and not claim():
                raise SoakError(f"no {what}: it ended with {code}\n{self.tail()}")
            if time.monotonic() > deadline:
                raise SoakError(f"no {what} within {timeout_s:.0f} s\n{self.tail()}")
            time.sleep(0.01)

    def tail(self) -> str:
        """The last lines of the output, for a message."""
        shown = (self.folder / "output.txt").read_text(errors="replace").splitlines()[-15:]
        return "\n".join([*shown, f"(all of it is in {self.folder})"])

    def stamps(self) -> list[Stamp]:
        """All stamps of the training."""
        return read_stamps(self.folder / "stamps")

    def pid_of(self, role: str) -> int | None:
        """The pid of a living process, which its command line tells from the others."""
        if role == "launcher":
            root = self.process
            return root.pid if root is not None and root.poll() is None else None
        if role == "trainer":
            return self.trainer()
        for process in self.parties():
            try:
                words = " ".join(process.cmdline())
            except psutil.Error:
                continue
            if _ROLES[role] in words:
                return process.pid
        return None

    def trainer(self) -> int | None:
        """The pid of the trainer that did the last step, if it lives.

        A warm trainer's command line does not name it.
        """
        stamps = self.stamps()
        if not stamps or stamps[-1].name != "step":
            return None
        try:
            state = psutil.Process(stamps[-1].pid).status()
        except psutil.Error:
            return None
        return None if state == psutil.STATUS_ZOMBIE else stamps[-1].pid

    def parties(self) -> list[psutil.Process]:
        """Every process of this run: its command line or environment names the run."""
        marks = (str(self.folder), self.runtime_mark())
        found = []
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
                environment = process.environ()
                is_zombie = process.status() == psutil.STATUS_ZOMBIE
            except psutil.Error:
                continue
            if process.pid == os.getpid() or is_zombie:
                continue
            told = (*words, environment.get("SUPERVISOR_RUN_DIR", ""))
            if any(mark and mark in word for mark in marks for word in told):
                found.append(process)
        return found

    @property
    def runtime(self) -> Path | None:
        """The run's private directory in memory; None before there was a run."""
        mark = self.runtime_mark()
        return SHARED_MEMORY / f"train-supervisor-{os.getuid()}" / mark if mark else None

    def runtime_mark(self) -> str:
        """The run id, which names the run's private directory in memory; empty if there is none."""
        try:
            with self.paths.ledger.open(errors="replace") as ledger:
                found = re.search(r'"run_id": ?"([0-9a-f]+)"', ledger.readline())
        except OSError:
            return ""
        return found.group(1) if found else ""


_ROLES = {"daemon": "daemon/__main__.py", "persister": "memory/__main__.py"}
