"""Takes three looks at an attempt that gives no sign of life; the core says what they mean.

Nothing here waits: other processes read stacks and GPUs, and `poll` is called until it is done.
"""

import os
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from supervisor.core.events import Looked
from supervisor.core.look_facts import RankSeen
from supervisor.daemon.look.gpu_use import BusyGpu, GpuUse
from supervisor.daemon.look.movement import LAUNCHER, Interval, movement
from supervisor.daemon.look.network_use import (
    NetworkUse,
    network_movement,
    network_problem,
    network_use,
)
from supervisor.daemon.look.process_samples import TreeProcess, TreeSample, sample_tree
from supervisor.daemon.look.processes import catches_stack_signal, is_python
from supervisor.daemon.look.rank_presence import RankPresence, is_there
from supervisor.daemon.look.stack_reading import StackReading
from supervisor.daemon.look.stack_text import Stacks, collective, is_in_backward, waits_for_child
from supervisor.daemon.look.stacks import find_py_spy
from supervisor.system.clock import monotonic_s
from supervisor.worker.page import Page

LOOKS = 3
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# Where the command does not attach, so many Python processes are read, the oldest first.
_PYTHONS_MAX = 4


class HangLooks:
    """One answer to one `Look`: three readings of stacks, and the counters in between."""

    def __init__(
        self,
        attempt: int,
        asked_at: float,
        span_s: float,
        *,
        main_pid: int,
        pages: Sequence[Page],
        presence: RankPresence,
        heartbeat_dir: Path,
        last_sign_at: float,
        signal: Callable[[list[int]], None],
        reads_network: bool = False,
    ) -> None:
        """`last_sign_at`: a program started since then may be what a rank waits for.

        `reads_network`: bytes over the network are work. Attached ranks send some while they wait.
        """
        self._attempt, self._asked_at = attempt, asked_at
        self._main_pid = main_pid
        self._heartbeat_dir = heartbeat_dir
        self._last_sign_at = last_sign_at
        self._signal = signal
        self._gone = presence.gone_among(pages)
        self._there = [page for page in pages if is_there(page)]
        self._ranks = [page for page in self._there if page.outcome is None]
        began_at = monotonic_s()
        self._due = [began_at + span_s * turn / (LOOKS - 1) for turn in range(LOOKS)]
        self._samples: list[TreeSample] = []
        self._reads_network = reads_network
        self._network: list[NetworkUse] = []
        self._stacks: list[dict[int, Stacks]] = []
        self._read: tuple[int, ...] | None = None
        self._reading: StackReading | None = None
        self._gpus: list[GpuUse] = []
        self._busy: list[BusyGpu] = []

    def poll(self, log_grew_at: float) -> Looked | None:
        """Go on; the answer once all looks are taken. Returns at once."""
        now = monotonic_s()
        if self._reading is None and self._due and now >= self._due[0]:
            self._due.pop(0)
            self._begin_look()
        if self._reading is not None and self._reading.poll():
            self._stacks.append(self._reading.stacks)
            self._reading = None
            if self._due:  # the next interval begins here, after the reading
                self._samples.append(self._sample())
        for gpu in list(self._gpus):
            if gpu.poll():
                self._busy += gpu.busy
                self._gpus.remove(gpu)
        if self._reading is not None or self._due or self._gpus:
            return None
        return self._answer(log_grew_at)

    def close(self) -> None:
        """End the child processes that read stacks and GPUs."""
        if self._reading is not None:
            self._reading.close()
        for gpu in self._gpus:
            gpu.close()

    def _sample(self) -> TreeSample:
        roots = [self._main_pid, *(page.pid for page in self._there)]
        sample = sample_tree(roots, self._main_pid)
        if self._reads_network:
            self._network.append(network_use(sample.processes))
        return sample

    def _begin_look(self) -> None:
        sample = self._sample()
        if self._stacks:
            self._samples.append(sample)
        self._gpus.append(GpuUse(sample.processes))
        read = self._to_read(sample)
        self._read = read if self._read is None else self._read
        armed = {
            page.pid: self._heartbeat_dir / f"stacks-{page.local_rank}.txt"
            for page in self._there
            # SIGUSR2 kills a process that lost its handler by exec; a stopped one cannot answer.
            if page.stacks_armed and page.pid in read and catches_stack_signal(page.pid)
        }
        others = tuple(pid for pid in read if pid not in armed)
        self._reading = StackReading(armed, others, find_py_spy())
        if armed:
            self._signal(list(armed))

    def _to_read(self, sample: TreeSample) -> tuple[int, ...]:
        if self._read is not None:
            chosen: Collection[int] = self._read
        elif self._ranks:
            chosen = [page.pid for page in self._ranks]
        else:
            pythons = [pid for pid in sorted(sample.processes, key=_age(sample)) if is_python(pid)]
            chosen = pythons[:_PYTHONS_MAX]
        there = sample.processes
        return tuple(pid for pid in chosen if pid in there and not there[pid].is_stopped)

    def _intervals(self) -> list[Interval]:
        samples = self._samples
        return list(zip(samples[::2], samples[1::2], strict=False))

    def _answer(self, log_grew_at: float) -> Looked:
        last = self._samples[-1]
        everybody = {pid for sample in self._samples for pid in sample.processes}
        moved = ["train.log grew"] if log_grew_at > self._asked_at else []
        ranks = [_gone(page) for page in self._gone]
        seen: set[int] = set()
        if self._ranks:
            launchers = {pid for page in self._ranks for pid in last.above(page.pid)}
            for page in self._ranks:
                below = {pid for sample in self._samples for pid in sample.below(page.pid)}
                ranks.append(self._rank(page, below))
                seen |= below
            moved += movement(self._intervals(), launchers - seen, LAUNCHER)
            moved += movement(self._intervals(), everybody - seen - launchers)
            moved += network_movement(self._network, everybody - seen - launchers)
        else:
            ranks.append(self._program(everybody))
            seen = everybody
        # GPUs that ranks use are judged with the rank: a collective's kernels keep the GPUs of
        # waiting ranks busy. A busy GPU of anybody else is work.
        moved += [gpu.name for gpu in self._busy if not gpu.users & seen]
        return Looked(self._attempt, self._asked_at, tuple(ranks), tuple(moved))

    def _rank(self, page: Page, below: set[int]) -> RankSeen:
        pid = page.pid
        looks = [stacks.get(pid) for stacks in self._stacks]
        known = [stacks for stacks in looks if stacks is not None]
        is_known = len(known) == LOOKS
        moved = list(movement(self._intervals(), below))
        if any(stacks != known[0] for stacks in known[1:]):
            moved.insert(0, "its stack changes")
        moved += network_movement(self._network, below)
        moved += [gpu.name for gpu in self._busy if gpu.users & below]
        waits = {collective(stacks) for stacks in known}
        waits_in = waits.pop() if is_known and len(waits) == 1 else None
        is_stopped = self._is_stopped(pid)
        return RankSeen(
            name=f"rank {page.rank} (pid {pid})",
            is_stopped=is_stopped,
            waits_in=waits_in,
            moved=tuple(moved),
            blocked=self._blocked(page, below, known, waits_in),
            is_known=is_known or is_stopped,
            unread=network_problem(self._network),
        )

    def _program(self, everybody: set[int]) -> RankSeen:
        """The whole process tree of a command that does not attach, as one."""
        moved = list(movement(self._intervals(), everybody))
        for pid in self._read or ():
            known = [stacks[pid] for stacks in self._stacks if pid in stacks]
            if any(stacks != known[0] for stacks in known[1:]):
                moved.insert(0, f"the stack of pid {pid} changes")
        moved += network_movement(self._network, everybody)
        moved += [gpu.name for gpu in self._busy if gpu.users & everybody]
        # A program that is not Python has no stacks to read: its counters must do.
        is_known = bool(self._samples[-1].processes) and all(
            pid in stacks for pid in self._read or () for stacks in self._stacks
        )
        stopped = [pid for pid in everybody if self._is_stopped(pid)]
        at_disk, unread = self._at_disk(everybody), network_problem(self._network)
        # A process that is not stopped may send something that nobody counts.
        is_still = not moved and (unread is None or len(stopped) == len(everybody))
        return RankSeen(
            name=f"the program (pid {self._main_pid})",
            is_stopped=bool(stopped) and is_still,
            moved=tuple(moved),
            blocked=None if at_disk is None else f"a disk or a file system ({at_disk})",
            is_known=is_known or bool(stopped),
            unread=unread,
        )

    def _is_stopped(self, pid: int) -> bool:
        found = [sample.processes.get(pid) for sample in self._samples]
        return all(process is not None and process.is_stopped for process in found)

    def _at_disk(self, pids: Collection[int]) -> str | None:
        for sample in self._samples:
            for pid in pids:
                process = sample.processes.get(pid)
                if process is not None and process.is_at_disk:
                    return f"{process.name}, {process.place or process.state}"
        return None

    def _blocked(
        self, page: Page, below: set[int], known: list[Stacks], waits_in: str | None
    ) -> str | None:
        at_disk = self._at_disk(below)
        if at_disk is not None:
            return f"a disk or a file system ({at_disk})"
        child = self._child(page.pid, below, known)
        if child is not None:
            return f"{child}, a process that it started after its last step"
        local = len(self._ranks) + len(self._gone)
        is_waiting = waits_in is not None or any(is_in_backward(stacks) for stacks in known)
        if is_waiting and page.world_size > local:
            everybody = [stacks.get(one.pid, {}) for stacks in self._stacks for one in self._ranks]
            if all(collective(stacks) or is_in_backward(stacks) for stacks in everybody):
                return "ranks that are not seen here"
        return None

    def _child(self, pid: int, below: set[int], known: list[Stacks]) -> str | None:
        """The program that a rank waits for, if it was started after the last sign of life."""
        last = self._samples[-1]
        rank = last.processes.get(pid)
        if rank is None or not (rank.waits_for_child or any(waits_for_child(s) for s in known)):
            return None
        for one in below - {pid}:
            process = last.processes.get(one)
            if process is not None and _started_at(process) > self._last_sign_at - 1.0:
                return process.name
        return None


def _age(sample: TreeSample) -> Callable[[int], tuple[int, int]]:
    return lambda pid: (sample.processes[pid].start_ticks, pid)


def _started_at(process: TreeProcess) -> float:
    """When it started, seconds of CLOCK_MONOTONIC; the kernel counts on CLOCK_BOOTTIME."""
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - process.start_ticks / _TICKS_PER_S
    return monotonic_s() - age_s


def _gone(page: Page) -> RankSeen:
    return RankSeen(name=f"rank {page.rank} (pid {page.pid})", is_gone=True)
