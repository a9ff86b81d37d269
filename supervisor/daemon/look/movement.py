"""What moved between samples of an attempt's processes.

A guess here ends somebody's training: what cannot be read counts as movement.
"""

import os
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import NamedTuple

from supervisor.daemon.look.process_samples import TreeProcess, TreeSample

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# The housekeeping threads of a sleeping interpreter; a hundredth of a core is no training.
_NOISE_CORES = 0.01
# torchrun's agent polls its ranks ten times a second: 0.4 % of a core and 800 bytes a second here.
_LAUNCHER_CORES = 0.05
_LAUNCHER_BYTES_PER_S = 65_536.0
# A process that wakes more often than this moves data, perhaps over sockets, which no counter of
# bytes includes. An idle data loader worker wakes every 5 s, a loop that only sleeps once a second.
_IDLE_WAKES_PER_S = 2.0

Interval = tuple[TreeSample, TreeSample]


class Allowance(NamedTuple):
    """What processes may use and still be taken for waiting."""

    cores: float = _NOISE_CORES
    bytes_per_s: float = 0.0
    wakes_per_s: float = _IDLE_WAKES_PER_S


WORKER = Allowance()
LAUNCHER = Allowance(_LAUNCHER_CORES, _LAUNCHER_BYTES_PER_S, float("inf"))


def movement(
    intervals: Sequence[Interval], pids: Collection[int], allowed: Allowance = WORKER
) -> tuple[str, ...]:
    """What these processes did in the intervals, in words; empty if they stood still."""
    found: list[str] = []
    elapsed_s = sum(after.at_s - before.at_s for before, after in intervals)
    found += _changes(intervals, pids)
    ticks = io_bytes = 0
    for before, after in intervals:
        for one, two in _pairs(before, after, pids):
            ticks += two.cpu_ticks - one.cpu_ticks
            if one.io_bytes is None or two.io_bytes is None:
                found.append(f"the I/O of {two.name} cannot be read")
            else:
                io_bytes += abs(two.io_bytes - one.io_bytes)
    cores = ticks / _TICKS_PER_S / elapsed_s if elapsed_s > 0 else 0.0
    if cores > allowed.cores:
        found.append(f"CPU ({cores:.2f} cores)")
    if io_bytes > allowed.bytes_per_s * elapsed_s:
        found.append(f"{io_bytes} bytes read or written")
    found += _woken(intervals, pids, allowed)
    return tuple(dict.fromkeys(found))


def _pairs(
    before: TreeSample, after: TreeSample, pids: Collection[int]
) -> list[tuple[TreeProcess, TreeProcess]]:
    return [
        (one, two)
        for pid in pids
        if (one := before.processes.get(pid)) is not None
        and (two := after.processes.get(pid)) is not None
        and one.start_ticks == two.start_ticks
    ]


def _changes(intervals: Sequence[Interval], pids: Collection[int]) -> list[str]:
    samples = [sample for interval in intervals for sample in interval]
    found = []
    for earlier, later in pairwise(samples):
        before = {earlier.processes[pid].key: pid for pid in pids if pid in earlier.processes}
        after = {later.processes[pid].key: pid for pid in pids if pid in later.processes}
        found += [
            f"{later.processes[after[key]].name} was started" for key in after - before.keys()
        ]
        found += [f"{earlier.processes[before[key]].name} ended" for key in before - after.keys()]
    return found


def _woken(intervals: Sequence[Interval], pids: Collection[int], allowed: Allowance) -> list[str]:
    elapsed_s = sum(after.at_s - before.at_s for before, after in intervals)
    woken: dict[int, int] = {}
    names: dict[int, TreeProcess] = {}
    for before, after in intervals:
        for one, two in _pairs(before, after, pids):
            if one.wakes is not None and two.wakes is not None:
                woken[two.pid] = woken.get(two.pid, 0) + two.wakes - one.wakes
                names[two.pid] = two
    found = []
    for pid, count in woken.items():
        process = names[pid]
        # It is blocked in a write. Each wake means that the reader has taken a piece.
        limit = 0.0 if process.is_writing else allowed.wakes_per_s * elapsed_s
        if count > limit:
            found.append(f"{process.name} was woken {count} times")
    return found
