"""Kills a supervised training again and again, and times what happens after each kill."""

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import ROOT, Peer
from benchmarks.soaked_run import SCRIPT, Stamp, read_stamps
from benchmarks.subjects import BenchmarkError, Running
from supervisor.core.entries.attempt import AttemptStartedEntry
from supervisor.core.status import LaunchStatus, Status
from supervisor.rundir.ledger_entries import iterate_entries
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.status_file import read_status

START_TIMEOUT_S = 300.0
PARK_TIMEOUT_S = 120.0
# Snapshots begin once their memory is laid out, in the background; saves come every ten steps.
STEPS_BEFORE_DEATH = 12
RUN_NAME = "bench"
SHOWN_STEP = "step"
COLUMNS = ("started", "imported", "chosen", "loaded", SHOWN_STEP)


@dataclass(frozen=True, slots=True)
class Workload:
    """A training and its interpreter; `site` holds packages that only this interpreter has."""

    name: str
    words: tuple[str, ...]
    python: str = sys.executable
    site: str = ""
    program: str = SCRIPT

    @property
    def is_foreign(self) -> bool:
        """Whether the script has no word of ours; then every subject runs the same line."""
        return self.program != SCRIPT

    def script(self, folder: Path, checkpoints: Path) -> list[str]:
        """The script with its arguments."""
        output = "--output_dir" if self.is_foreign else "--checkpoints"
        stamps = ["--stamps", str(folder / "stamps"), output, str(checkpoints)]
        return [self.program, *stamps, *self.words]

    def script_alone(self, folder: Path) -> list[str]:
        """The same as people run it without us."""
        script = self.script(folder, folder / "checkpoints")
        return script if self.is_foreign else [*script, "--plain"]

    def environment(self) -> dict[str, str]:
        """Environment variables of the training under its own interpreter."""
        path = {} if self.is_foreign else {"PYTHONPATH": str(ROOT)}
        return {**path, "OMP_NUM_THREADS": "1"}

    def foreign_environment(self) -> dict[str, str]:
        """The same for a peer's interpreter, which finds `site` only through PYTHONPATH."""
        path = os.pathsep.join(part for part in (str(ROOT), self.site) if part)
        return {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class ShellLoop:
    """The loop that people write first: start the command again until it exits with 0."""

    name: str = "shell loop"
    death_line: str = "the trainer died"

    def argv(self, python: str, script: Sequence[str]) -> list[str]:
        """The command line of the loop."""
        loop = f'until "$@"; do echo {self.death_line}; done'
        return ["bash", "-c", loop, "bash", python, *script]


@dataclass(frozen=True, slots=True)
class Ours:
    """`supervisor run`, with warm or cold launches."""

    name: str
    mode: str
    death_line: str = r'"on": ?"Exited"'

    def argv(self, workload: Workload, folder: Path) -> list[str]:
        """Write the configuration and return the command line that runs it.

        A foreign script has no configuration, unless the launch is to be cold.
        """
        run_dir = _run_paths(folder).run_dir
        supervisor = [sys.executable, "-m", "supervisor", "run"]
        if workload.is_foreign and self.mode == "warm":
            words = workload.script_alone(folder)
            return [*supervisor, "--name", RUN_NAME, "--", workload.python, *words]
        output = folder / "checkpoints" if workload.is_foreign else run_dir
        body = {
            "name": RUN_NAME,
            "command": [workload.python, *workload.script(folder, output)],
            "run_dir": str(run_dir),
            "restart": {"backoff": "100ms", "max_failures": 1000, "max_per_day": 1000},
            "grace": "10s",
            "launch": {"mode": self.mode},
            "env": workload.environment(),
        }
        # JSON is YAML.
        (folder / "bench.yaml").write_text(json.dumps(body))
        return [*supervisor, str(folder / "bench.yaml")]


def _run_paths(folder: Path) -> RunPaths:
    """Where `supervisor run --name bench -- …` puts a run, too."""
    return RunPaths(folder / "runs" / RUN_NAME)


Subject = Ours | Peer | ShellLoop
Times = dict[str, float]


def measure(subject: Subject, workload: Workload, folder: Path, deaths: int) -> list[Times]:
    """Per death, ms until each column and the number of repeated steps. Raises BenchmarkError."""
    running = _start(subject, workload, folder, deaths)
    stamps_path = folder / "stamps"
    found = []
    try:
        for _ in range(deaths):
            pid = _until_trained(running, stamps_path, subject, folder)
            died_ns = time.monotonic_ns()
            os.kill(pid, signal.SIGKILL)
            running.until(
                "next attempt's step",
                lambda pid=pid: _has_stepped(read_stamps(stamps_path), pid),  # type: ignore[misc]
                START_TIMEOUT_S,
            )
            lines = [at for at, line in running.lines if re.search(subject.death_line, line)]
            if isinstance(subject, Ours) and subject.mode == "warm":
                _require_warm(_run_paths(folder))
            found.append(times_of(read_stamps(stamps_path), pid, died_ns, lines))
        if isinstance(subject, Ours):
            for times, choosing_ms in zip(found, _choosing(_run_paths(folder)), strict=True):
                times["choosing"] = choosing_ms
    finally:
        running.end()
    return found


def _choosing(paths: RunPaths) -> list[float]:
    """Times in ms from an exit that the daemon received to its choice of a checkpoint."""
    found = []
    for noted in iterate_entries(paths.ledger):
        match noted.entry:
            # The first attempt has no `exited`: nothing had exited before it.
            case AttemptStartedEntry(moments={"chosen": float(chosen), "exited": float(exited)}):
                found.append((chosen - exited) * 1e3)
    return found


def _start(subject: Subject, workload: Workload, folder: Path, deaths: int) -> Running:
    script = workload.script_alone(folder)
    environment = dict(os.environ)
    match subject:
        case Ours():
            argv = subject.argv(workload, folder)
            environment |= workload.environment()
        case Peer():
            argv = subject.argv(script, restarts=deaths + 1)
            environment |= workload.foreign_environment()
        case ShellLoop():
            argv = subject.argv(workload.python, script)
            environment |= workload.environment()
    process = subprocess.Popen(
        argv,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    running = Running(process, folder)
    threading.Thread(target=running.read, daemon=True).start()
    if isinstance(subject, Ours):
        # Peers log to their standard error, our daemon to a file: each is timed where it logs.
        log = _run_paths(folder).log
        threading.Thread(target=running.follow, args=(log,), daemon=True).start()
    return running


def _until_trained(running: Running, path: Path, subject: Subject, folder: Path) -> int:
    """The trainer's pid, once it has done enough steps and a warm launch's spare is parked."""

    def is_ready() -> bool:
        stamps = read_stamps(path)
        steps = [one for one in stamps if one.name == "step" and one.pid == stamps[-1].pid]
        return len(steps) >= STEPS_BEFORE_DEATH and stamps[-1].name == "step"

    running.until("training", is_ready, START_TIMEOUT_S)
    if isinstance(subject, Ours) and subject.mode == "warm":
        paths = _run_paths(folder)
        running.until("parked interpreter", lambda: _is_parked(paths), PARK_TIMEOUT_S)
    return read_stamps(path)[-1].pid


def _launch_status(paths: RunPaths) -> LaunchStatus:
    """How the last launch went, and the state of the parked interpreter."""
    return (read_status(paths.status) or Status()).launch or LaunchStatus()


def _is_parked(paths: RunPaths) -> bool:
    return _launch_status(paths).parked.state == "waiting"


def _require_warm(paths: RunPaths) -> None:
    """Raise BenchmarkError if the last launch was not warm: the report must not show it as one."""
    launch = _launch_status(paths)
    if launch.last != "warm":
        raise BenchmarkError(f"the launch was not warm: {launch.cold_reason}")


def _has_stepped(stamps: Sequence[Stamp], pid: int) -> bool:
    last = stamps[-1]
    return last.pid != pid and last.name == "step"


def times_of(stamps: Sequence[Stamp], pid: int, died_ns: int, told_ns: Sequence[int]) -> Times:
    """The times after one death: ms to each column, and `replayed` steps."""
    after = [one for one in stamps if one.pid != pid and one.at_ns > died_ns]
    first = {one.name: one for one in reversed(after)}
    done = max(one.step for one in stamps if one.pid == pid and one.name == "step")
    times = {name: (first[name].at_ns - died_ns) / 1e6 for name in COLUMNS if name in first}
    told = next((at for at in told_ns if at >= died_ns), None)
    if told is not None:
        times["noticed"] = (told - died_ns) / 1e6
    times["replayed"] = float(done - first["loaded"].step)
    return times


def medians(found: Sequence[Mapping[str, float]]) -> Times:
    """The median of each column over the deaths that have the column."""
    names = dict.fromkeys(name for times in found for name in times)
    return {name: statistics.median(t[name] for t in found if name in t) for name in names}
