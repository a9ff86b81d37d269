"""Whether an attempt that says nothing also does nothing: its CPU, I/O and GPU counters.

A guess here restarts somebody's training: what cannot be read counts as activity.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import psutil

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# The housekeeping threads of a sleeping interpreter; a hundredth of a core is no training.
_NOISE_CORES = 0.01
# Two samples closer together than this prove nothing.
SHORTEST_S = 5.0


class ProcessCounters(NamedTuple):
    """One process; `io_bytes` is None where the kernel did not tell."""

    start_ticks: int
    cpu_ticks: int
    io_bytes: int | None


class CounterSample(NamedTuple):
    """The counters of all processes of an attempt at one time (CLOCK_MONOTONIC)."""

    at_s: float
    processes: dict[int, ProcessCounters]
    gpu_percent: int | None
    """The busiest GPU that the attempt uses; None without GPUs or NVML."""


class Counters:
    """Samples some processes and all their descendants."""

    def __init__(self, pids: Iterable[int]) -> None:
        """`pids` are the main process and the ranks; their descendants are found each time."""
        self._pids = tuple(pids)
        self._gpus = _Gpus()

    def sample(self) -> CounterSample:
        """Read all counters now: some milliseconds. Never raises; the dead are left out."""
        processes = {}
        for pid in with_descendants(self._pids):
            counters = _read(pid)
            if counters is not None:
                processes[pid] = counters
        return CounterSample(monotonic(), processes, self._gpus.busiest(frozenset(processes)))


def stood_still(previous: CounterSample, now: CounterSample) -> bool:
    """Whether nothing at all was done between two samples at least 5 s apart."""
    elapsed_s = now.at_s - previous.at_s
    if elapsed_s < SHORTEST_S or not now.processes:
        return False
    if previous.gpu_percent or now.gpu_percent:
        return False
    ticks = 0
    for pid, after in now.processes.items():
        before = previous.processes.get(pid)
        if before is None or before.start_ticks != after.start_ticks:
            return False  # somebody started it meanwhile
        if after.io_bytes is None or after.io_bytes != before.io_bytes:
            return False
        ticks += after.cpu_ticks - before.cpu_ticks
    if previous.processes.keys() != now.processes.keys():
        return False
    return ticks <= _NOISE_CORES * elapsed_s * _TICKS_PER_S


def with_descendants(pids: Iterable[int]) -> list[int]:
    """These processes and all that descend from them, parents first; the dead are left out."""
    found: dict[int, None] = {}
    for pid in pids:
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            found[pid] = None
            found.update(dict.fromkeys(child.pid for child in process.children(recursive=True)))
    return list(found)


def _read(pid: int) -> ProcessCounters | None:
    folder = Path("/proc") / str(pid)
    try:
        fields = (folder / "stat").read_bytes().rpartition(b") ")[2].split()
    except OSError:
        return None  # it has ended
    if fields[0] in (b"Z", b"X"):
        return None
    # proc(5): utime, stime, and those of the children waited for.
    cpu_ticks = sum(int(field) for field in fields[11:15])
    return ProcessCounters(int(fields[19]), cpu_ticks, _io_bytes(folder / "io"))


def _io_bytes(path: Path) -> int | None:
    """Bytes through read and write calls and to and from disks (mapped files)."""
    try:
        entries = dict(line.split(b": ") for line in path.read_bytes().splitlines())
        return sum(int(entries[name]) for name in (b"rchar", b"wchar", b"read_bytes"))
    except (OSError, KeyError, ValueError):
        return None  # not permitted (it changed its user), or a kernel without accounting


class _Gpus:
    """NVML, loaded only where it is installed and has a driver: it takes memory."""

    def __init__(self) -> None:
        self._is_usable = False
        if not Path("/dev/nvidiactl").exists():
            return
        try:
            import pynvml
        except ImportError:
            return  # the `gpu` extra is not installed
        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError:
            return
        self._is_usable = True

    def busiest(self, pids: frozenset[int]) -> int | None:
        """Utilisation in percent of the busiest device with one of these processes."""
        if not self._is_usable:
            return None
        nvml = self._nvml
        percents: list[int] = []
        try:
            for index in range(nvml.nvmlDeviceGetCount()):
                device = nvml.nvmlDeviceGetHandleByIndex(index)
                users = {user.pid for user in nvml.nvmlDeviceGetComputeRunningProcesses(device)}
                # In a container NVML names no processes: then every device may be the attempt's.
                if not users or users & pids:
                    percents.append(int(nvml.nvmlDeviceGetUtilizationRates(device).gpu))
        except nvml.NVMLError:
            return 100  # a device that does not answer may be busy: it is not known to rest
        return max(percents, default=None)
