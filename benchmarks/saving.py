"""Measures one saver in its own process, and prints the results as JSON to standard output.

`python -m benchmarks.saving --saver NAME --bytes N --saves N --threads N --directory D`
"""

import argparse
import json
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmarks import disk
from benchmarks.cost import memory_bytes
from benchmarks.report import OURS
from benchmarks.savers import CONTROLS, SAVERS, Saver, silence
from benchmarks.trained import Memcpy, Trained
from benchmarks.validating import measure_validation

STEPS = 10
WARM_STEPS = 3
COPIES = 5
LOADS = 3
SAMPLE_S = 0.02


@dataclass(frozen=True, slots=True)
class Stall:
    """One save in seconds: a memcpy, the call, and the ten steps before and after it."""

    memcpy_s: float
    call_s: float
    before_s: list[float]
    after_s: list[float]


@dataclass(slots=True)
class Measured:
    """All that was measured of one saver. `durable` and `validation` are pairs with dd's time."""

    saver: str
    bytes: int
    threads: int
    device: str
    set_up_s: float = 0.0
    stalls: list[Stall] = field(default_factory=list)
    durable: list[tuple[float, float]] = field(default_factory=list)
    peak_bytes: int = 0
    load_s: list[float] = field(default_factory=list)
    validation: dict[str, Any] = field(default_factory=dict)


class Session:
    """A training with one saver, from its first step to its end."""

    def __init__(self, name: str, state_bytes: float, directory: Path, device: str) -> None:
        self._trained = Trained(state_bytes, device)
        self._trained.train(WARM_STEPS)
        self._quiet_bytes = _peak(lambda: self._trained.train(STEPS))
        quiet = self._trained.train(STEPS)
        self._memcpy = Memcpy(self._trained.tensors())
        began = time.perf_counter()
        self._saver: Saver = {**SAVERS, **CONTROLS}[name](self._trained, directory)
        made_s = time.perf_counter() - began
        unquiet = self._trained.train(STEPS)
        self._directory = directory
        self._path = directory
        self.measured = Measured(name, self._memcpy.bytes, torch.get_num_threads(), device)
        self.measured.set_up_s = made_s + sum(unquiet) - sum(quiet)

    def measure_stalls(self, saves: int) -> None:
        """Save while training; the next save begins only when the previous one is durable."""
        for _ in range(saves):
            before = self._trained.train(STEPS)
            memcpy_s = statistics.median(self._memcpy.seconds() for _ in range(COPIES))
            began = time.perf_counter()
            self._saver.save()
            call_s = time.perf_counter() - began
            after = self._trained.train(STEPS)
            self.measured.stalls.append(Stall(memcpy_s, call_s, before, after))
            self._keep_only(self._saver.finish())
        del self._memcpy

    def measure_memory(self) -> None:
        """Measure all processes' peak memory beyond training, in one more save and ten steps."""

        def save() -> None:
            self._saver.save()
            self._trained.train(STEPS)
            self._keep_only(self._saver.finish())

        self.measured.peak_bytes = _peak(save) - self._quiet_bytes

    def measure_durability(self, saves: int) -> None:
        """Save with training at rest, each beside dd's write of the same bytes."""
        for _ in range(saves):
            self._trained.train(1)
            files = disk.files_of(self._path)
            disk.warm(files)
            dd_s = disk.write_seconds(files, self._directory / "dd")
            began = time.perf_counter()
            self._saver.save()
            path = self._saver.finish()
            self.measured.durable.append((time.perf_counter() - began, dd_s))
            self._keep_only(path)

    def measure_loading(self) -> None:
        """Read a cached checkpoint into the model and the optimizer."""
        disk.warm(disk.files_of(self._path))
        for _ in range(LOADS):
            began = time.perf_counter()
            self._saver.load(self._path)
            self.measured.load_s.append(time.perf_counter() - began)

    def measure_validation(self, times: int) -> None:
        """Validate the last checkpoint, with nothing else running."""
        self.measured.validation = asdict(measure_validation(self._path, times))

    def close(self) -> None:
        """End what the saver started."""
        self._saver.close()

    def _keep_only(self, path: Path | None) -> None:
        """Remove the older checkpoints, outside the measured time."""
        for other in self._directory.iterdir():
            if other != path and not other.name.startswith("."):
                shutil.rmtree(other)
        self._path = self._directory if path is None else path


def _peak(action: Callable[[], object]) -> int:
    """The peak proportional size of this process and its children during an action, in bytes."""
    is_over = threading.Event()
    peak = 0

    def sample() -> None:
        nonlocal peak
        while not is_over.is_set():
            peak = max(peak, _used())
            is_over.wait(SAMPLE_S)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        action()
    finally:
        is_over.set()
        thread.join()
    return peak


def _used() -> int:
    total = 0
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        try:
            total += memory_bytes(process.pid)[1]
        except (OSError, KeyError):  # the process ended meanwhile
            continue
    return total


def measure(name: str, state_bytes: float, saves: int, directory: Path, device: str) -> Measured:
    """Measure everything of one saver. Raises what the saver raises, and DiskError."""
    session = Session(name, state_bytes, directory, device)
    try:
        session.measure_stalls(saves)
        if name in CONTROLS:
            return session.measured
        session.measure_memory()
        session.measure_durability(saves)
        session.measure_loading()
    finally:
        session.close()
    if name == OURS:
        session.measure_validation(saves)
    return session.measured


def main() -> None:
    """Measure one saver and print the results as JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.saving", description=__doc__)
    parser.add_argument("--saver", choices=[*SAVERS, *CONTROLS], required=True)
    parser.add_argument("--bytes", type=float, required=True)
    parser.add_argument("--saves", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--directory", type=Path, required=True)
    arguments = parser.parse_args()
    silence()
    torch.set_num_threads(arguments.threads)
    directory = arguments.directory.resolve()
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    try:
        found = measure(
            arguments.saver, arguments.bytes, arguments.saves, directory, arguments.device
        )
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    sys.stdout.write(json.dumps(asdict(found)) + "\n")


if __name__ == "__main__":
    main()
