"""Starts, observes and ends one supervisor, ours or a peer, with the workload under it."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.peers import ROOT, Peer
from supervisor.rundir.paths import RunPaths

WORKLOAD = str(ROOT / "benchmarks" / "workload.py")
START_TIMEOUT_S = 120.0
END_TIMEOUT_S = 30.0
FOLLOW_S = 0.0005


class BenchmarkError(Exception):
    """A subject did not do what is measured of it."""


@dataclass(frozen=True, slots=True)
class Ours:
    """`supervisor run`, with a short grace and a short backoff so that the benchmark goes on."""

    name: str = "supervisor"
    beat: str = "supervisor"
    death_line: str = r'"on": ?"Exited"'
    more: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the configuration beyond those below, or in their place."""

    def argv(self, script: Sequence[str], directory: Path) -> list[str]:
        """Write the configuration and return the command line that runs it."""
        config = directory / "bench.yaml"
        # JSON is YAML.
        config.write_text(
            json.dumps(
                {
                    "name": "bench",
                    "command": [sys.executable, *script],
                    "run_dir": str(directory / "run"),
                    "restart": {"backoff": "100ms", "max_failures": 1000, "max_per_day": 1000},
                    "grace": "1s",
                    # A parked interpreter prepares the next attempt; it is no cost of watching this
                    # one.
                    "launch": {"mode": "cold"},
                    **self.more,
                }
            )
        )
        return [sys.executable, "-m", "supervisor", "run", str(config)]


Subject = Ours | Peer


@dataclass(slots=True)
class Running:
    """A started subject; its output is read line by line with the arrival time of each line."""

    process: subprocess.Popen[str]
    directory: Path
    lines: list[tuple[int, str]] = field(default_factory=list)

    def read(self) -> None:
        """Note the arrival (monotonic ns) of each line until the output ends."""
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self.lines.append((time.monotonic_ns(), line.rstrip("\n")))

    def follow(self, log: Path) -> None:
        """Note the lines of a log file in the same way."""
        while not log.exists() and self.process.poll() is None:
            time.sleep(FOLLOW_S)
        if not log.exists():
            return
        with log.open() as file:
            while self.process.poll() is None:
                if line := file.readline():
                    self.lines.append((time.monotonic_ns(), line.rstrip("\n")))
                else:
                    time.sleep(FOLLOW_S)

    def overhead_pids(self) -> dict[str, int]:
        """The pids of every process that the supervisor adds, without the workload's own."""
        pids = {"root": self.process.pid}
        for child in psutil.Process(self.process.pid).children(recursive=True):
            command = child.cmdline()
            if WORKLOAD in command[1:3]:
                continue
            role = "daemon" if any("supervisor/daemon" in word for word in command) else "monitor"
            pids[role if role not in pids else f"{role} {len(pids)}"] = child.pid
        return pids

    def until(self, what: str, seen: Callable[[], bool], timeout_s: float) -> None:
        """Poll until `seen` holds. Raises BenchmarkError at the timeout or the subject's end."""
        deadline = time.monotonic() + timeout_s
        while True:
            code = self.process.poll()
            if seen():
                return
            if code is not None or time.monotonic() > deadline:
                tail = "\n".join(line for _, line in self.lines[-10:])
                raise BenchmarkError(f"no {what} (exit code {code}):\n{tail}")
            time.sleep(0.01)

    def end(self) -> None:
        """Send SIGTERM, and after a while SIGKILL to the processes that are left."""
        tree = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for left in tree:
            if left.is_running():
                left.kill()


def start(subject: Subject, directory: Path, workload: Sequence[str], restarts: int = 0) -> Running:
    """Start the workload under a subject."""
    script = [WORKLOAD, *workload]
    match subject:
        case Ours():
            argv = subject.argv(script, directory)
        case Peer():
            argv = subject.argv(script, restarts=restarts)
    process = subprocess.Popen(
        argv,
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    running = Running(process, directory)
    threading.Thread(target=running.read, daemon=True).start()
    if isinstance(subject, Ours):
        # Peers log to their standard error, our daemon to a file: each is timed where it logs.
        log = RunPaths(directory / "run").log
        threading.Thread(target=running.follow, args=(log,), daemon=True).start()
    return running


def start_training(subject: Subject, directory: Path) -> Running:
    """Start a workload of ten lines and beats a second, and wait for its first.

    Raises BenchmarkError.
    """
    ready = directory / "ready"
    workload = ["--beat", subject.beat, "--seconds", "3600", "--ready", str(ready)]
    running = start(subject, directory, workload)
    try:
        running.until("first step", ready.exists, START_TIMEOUT_S)
    except BenchmarkError:
        running.end()
        raise
    return running


def noticed_ms(subject: Subject, directory: Path, deaths: int) -> list[float]:
    """The ms from each death to the line that reports it. Raises BenchmarkError."""
    record = directory / "deaths"
    # Not a multiple of any polling interval, so that each death falls at another point of it.
    workload = ["--seconds", "0.737", "--deaths", str(record)]
    running = start(subject, directory, workload, restarts=deaths)
    pattern = re.compile(subject.death_line)

    def reports() -> list[int]:
        return [at for at, line in running.lines if pattern.search(line)]

    try:
        running.until(f"{deaths} deaths told of", lambda: len(reports()) >= deaths, START_TIMEOUT_S)
    finally:
        running.end()
    times = [int(line) for line in record.read_text().splitlines()]
    delays = []
    for died, following in zip(times, [*times[1:], 1 << 63], strict=True):
        told = next((at for at in reports() if died <= at < following), None)
        if told is not None:
            delays.append((told - died) / 1e6)
    return delays[:deaths]
