"""All processes of an attempt at one time: what each has used, and where it waits.

It must not read cmdline, environ or maps: those wait for a lock that a hung process may hold.
"""

from collections.abc import Collection
from contextlib import suppress
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from supervisor.system.identity import has_ended, read_stat
from supervisor.system.procfs import all_pids, ascend, descend

# A rank has about a hundred threads. To read more than this many would tell nothing more.
_THREADS_MAX = 256
_PROCESSES_MAX = 512
# Kernel functions that wait for a disk or a file server. The process need not be in state D
# meanwhile: FUSE and Lustre sleep so that a signal can wake them.
_DISK_PLACES = (
    "request_wait_answer", "fuse_", "rpc_", "nfs", "cifs", "smb", "p9_", "ceph", "ptlrpc", "ldlm",
    "osc_", "cl_sync", "cl_lock", "ll_", "gpfs", "cxi", "folio_wait", "wait_on_page", "io_schedule",
    "balance_dirty", "jbd2", "blk_", "submit_bio", "wait_on_buffer",
)  # fmt: skip
_WRITE_PLACES = ("pipe_write", "anon_pipe_write", "sk_stream_wait_memory", "sock_alloc_send")
_CHILD_PLACES = ("do_wait", "wait4", "kernel_wait")


class TreeProcess(NamedTuple):
    """One process; what the kernel did not tell is None or empty."""

    pid: int
    ppid: int
    start_ticks: int
    comm: str
    state: str
    cpu_ticks: int
    """Its own CPU time, and that of the children that it has waited for."""
    io_bytes: int | None
    wakes: int | None
    """How often its main thread went to sleep by itself."""
    place: str
    """Where in the kernel its main thread waits."""
    is_at_disk: bool
    """One of its threads waits for a disk or a file system."""

    @property
    def key(self) -> tuple[int, int]:
        """Pid and start time, which no later process shares."""
        return (self.pid, self.start_ticks)

    @property
    def is_stopped(self) -> bool:
        """Whether a signal stopped it. A debugger's stop does not count: a person is at work."""
        return self.state == "T"

    @property
    def waits_for_child(self) -> bool:
        """Whether its main thread waits for the end of a child."""
        return self.place.startswith(_CHILD_PLACES)

    @property
    def is_writing(self) -> bool:
        """Whether its main thread waits for somebody to take what it writes."""
        return self.place.startswith(_WRITE_PLACES)

    @property
    def name(self) -> str:
        """Command and pid, for people."""
        return f"{self.comm} (pid {self.pid})"


class TreeSample(NamedTuple):
    """The processes at one time (CLOCK_MONOTONIC)."""

    at_s: float
    processes: dict[int, TreeProcess]

    def below(self, pid: int) -> set[int]:
        """That process and all that descend from it."""
        return set(descend(self._parents, [pid] if pid in self.processes else []))

    def above(self, pid: int) -> set[int]:
        """The ancestors of that process among these."""
        return ascend(self._parents, pid) & self.processes.keys()

    @property
    def _parents(self) -> dict[int, int]:
        return {process.pid: process.ppid for process in self.processes.values()}


def sample_tree(roots: Collection[int], main_pid: int | None) -> TreeSample:
    """Read all counters now: some 10 µs for each process of the machine. The dead are left out.

    The tree is `roots` with their descendants, and the session of the main process. A background
    process stays in that session after its parent has gone.
    """
    table: dict[int, list[bytes]] = {}
    names: dict[int, str] = {}
    for pid in all_pids():
        stat = read_stat(pid)
        if stat is not None and not has_ended(stat[1]):
            names[pid], table[pid] = stat
    session = [pid for pid, fields in table.items() if int(fields[3]) == main_pid]
    known = [pid for pid in roots if pid in table]
    found = descend({pid: int(fields[1]) for pid, fields in table.items()}, [*known, *session])
    processes = {pid: _read(pid, names[pid], table[pid]) for pid in found[:_PROCESSES_MAX]}
    return TreeSample(monotonic(), processes)


def _read(pid: int, comm: str, fields: list[bytes]) -> TreeProcess:
    folder = f"/proc/{pid}"
    place = _text(f"{folder}/wchan")
    state = fields[0].decode("ascii", "replace")
    return TreeProcess(
        pid=pid,
        ppid=int(fields[1]),
        start_ticks=int(fields[19]),
        comm=comm,
        state=state,
        # proc(5): utime, stime, and those of the children waited for.
        cpu_ticks=sum(int(field) for field in fields[11:15]),
        io_bytes=_io_bytes(f"{folder}/io"),
        wakes=_wakes(f"{folder}/status"),
        place=place,
        is_at_disk=_is_disk(state, place) or _has_thread_at_disk(pid),
    )


def _is_disk(state: str, place: str) -> bool:
    return state == "D" or place.startswith(_DISK_PLACES)


def _has_thread_at_disk(pid: int) -> bool:
    try:
        threads = list(islice(Path(f"/proc/{pid}/task").iterdir(), _THREADS_MAX))
    except OSError:
        return False
    states = (_text(str(thread / "stat")).rpartition(") ")[2][:1] for thread in threads)
    return "D" in states


def _io_bytes(path: str) -> int | None:
    """Bytes that went through read and write calls, and those read from disks (mapped files)."""
    try:
        entries = dict(line.split(b": ") for line in Path(path).read_bytes().splitlines())
        return sum(int(entries[name]) for name in (b"rchar", b"wchar", b"read_bytes"))
    except (OSError, KeyError, ValueError):
        return None  # not permitted (it changed its user), or a kernel without accounting


def _wakes(path: str) -> int | None:
    for line in _text(path).splitlines():
        if line.startswith("voluntary_ctxt_switches:"):
            with suppress(ValueError):
                return int(line.partition(":")[2])
    return None


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""  # ended meanwhile, or for root only
