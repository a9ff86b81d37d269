"""What processes cost, as the kernel counts it: memory from smaps, CPU from their own clocks."""

import re
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_S = 5.0
_ROLLUP = re.compile(r"^(Rss|Pss):\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one process over a span of time."""

    rss_bytes: int
    pss_bytes: int
    cpu_percent: float

    def __add__(self, other: "Cost") -> "Cost":
        """The sum of two costs. Shared pages count twice in `rss_bytes`, once in `pss_bytes`."""
        return Cost(
            self.rss_bytes + other.rss_bytes,
            self.pss_bytes + other.pss_bytes,
            self.cpu_percent + other.cpu_percent,
        )


def memory_bytes(pid: int) -> tuple[int, int]:
    """Resident and proportional size. Raises OSError.

    smaps_rollup counts pages. statm, which ps and psutil show, lags behind by a batch for each CPU
    (proc_pid_statm(5): "inaccurate because of a kernel-internal scalability optimization").
    """
    found = dict(_ROLLUP.findall(Path(f"/proc/{pid}/smaps_rollup").read_text()))
    return int(found["Rss"]) * 1024, int(found["Pss"]) * 1024


def cpu_ns(pid: int) -> int:
    """CPU time of all threads, ended ones included, and of reaped children. Raises OSError.

    clock_getcpuclockid(3) gives nanoseconds; /proc/PID/stat counts in steps of 10 ms.
    """
    own = time.clock_gettime_ns((~pid << 3) | 2)
    times = psutil.Process(pid).cpu_times()
    return own + int((times.children_user + times.children_system) * 1e9)


def measure(
    pids: Mapping[str, int], seconds: float, *, brief: Collection[str] = ()
) -> dict[str, Cost]:
    """CPU and peak memory of each process over `seconds`.

    `brief`: the names of those that may end meanwhile. The CPU time of such a process is counted
    with its parent's reaped children. Raises OSError or psutil.NoSuchProcess if another one ends.
    """
    began, before = time.monotonic(), {name: cpu_ns(pid) for name, pid in pids.items()}
    used = dict.fromkeys(pids, 0)
    peaks = dict.fromkeys(pids, (0, 0))
    while (left := began + seconds - time.monotonic()) > 0:
        time.sleep(min(SAMPLE_S, left))
        for name, pid in pids.items():
            with suppress(*_gone(name, brief)):
                peaks[name] = max(peaks[name], memory_bytes(pid))
    elapsed_s = time.monotonic() - began
    for name, pid in pids.items():
        with suppress(*_gone(name, brief)):
            used[name] = cpu_ns(pid) - before[name]
    return {name: Cost(*peaks[name], used[name] / elapsed_s / 1e7) for name in pids}


def _gone(name: str, brief: Collection[str]) -> tuple[type[Exception], ...]:
    return (OSError, psutil.NoSuchProcess) if name in brief else ()
