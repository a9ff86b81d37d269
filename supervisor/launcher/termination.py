"""Ending an attempt: the stop (see `stop_delivery`), the kill loop, the processes that survive.

The launcher uses this module, and so does the daemon when the launcher has died. So nothing here
may need to be the parent of a process. Stdlib only.
"""

from __future__ import annotations

import os
import signal
import time

from supervisor.launcher import orphaned_ranks, process_tree
from supervisor.launcher.messages import StuckProcess
from supervisor.launcher.stop_delivery import UNTOLD_GRACE_S, StopDelivery
from supervisor.system import procfs
from supervisor.system.cgroup import Group
from supervisor.system.identity import ProcessIdentity, is_alive
from supervisor.system.procfs import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection


UNKILLABLE_AFTER_S = 60.0
_MOST_FRAMES = 24
FIRST_PAUSE_S = 0.002
LONGEST_PAUSE_S = 0.25
# While ranks save: a short pause, so that the main process begins nothing new once they have ended.
WATCHFUL_PAUSE_S = 0.02
# Between looks at all processes of the host, for ranks that attach late, while the others save.
STOPPING_PAUSE_S = 1.0


def _no_pids() -> list[int]:
    return []


class Survivors:
    """The living processes of one attempt (`attempt=None`: of all attempts of the run).

    Nothing happens by itself: after `stop` or `kill`, call `advance` every `pause_s` and when a
    child has ended, until it returns False.
    """

    def __init__(
        self,
        run_id: str,
        attempt: int | None,
        *,
        heartbeat_dir: str | None = None,
        main: ProcessIdentity | None = None,
        roots: Callable[[], Collection[int]] = _no_pids,
        spare: Callable[[], Collection[int]] = _no_pids,
        unkillable_after_s: float = UNKILLABLE_AFTER_S,
        group: Group | None = None,
        grace_s: float = UNTOLD_GRACE_S,
    ) -> None:
        """`grace_s`: the attempt's time to save and end, if the stop order names none."""
        self.run_id = run_id
        self.attempt = attempt
        self.heartbeat_dir = heartbeat_dir
        self.main = main
        self.stop_signal: int | None = None
        self.stopped_at: float | None = None
        self.killing_since: float | None = None
        self.killed: set[tuple[int, int]] = set()
        self.pause_s = FIRST_PAUSE_S
        self._roots = roots
        self._spare = spare
        self._group = group or Group()
        self._unkillable_after_s = unkillable_after_s
        self._complain_at = 0.0
        self._grace_s = grace_s
        self._delivery: StopDelivery | None = None
        self._looked: list[Process] = []
        self._look_again_at = 0.0
        self._ranks: list[Process] = []
        self._ranks_are_certain = False
        # An exiting process shows no environment, so the ones seen before are kept by identity.
        self._seen: dict[tuple[int, int], Process] = {}
        self._has_seen_any = False

    def members(self) -> list[Process]:
        """Return the processes that live now, oldest first; the main process included."""
        roots = set(self._roots())
        roots.update(self._group.pids())
        if self.main_is_alive():
            assert self.main is not None
            roots.add(self.main.pid)
        for pid, start_ticks in list(self._seen):
            process = procfs.read_process(pid)
            if process is None or process.start_ticks != start_ticks or process.has_ended:
                del self._seen[(pid, start_ticks)]
            else:
                roots.add(pid)
        found = process_tree.find(self.run_id, self.attempt, roots=roots, spare=self._spare())
        for process in found:
            self._seen[(process.pid, process.start_ticks)] = process
            self._has_seen_any = True
        return found

    def main_is_alive(self) -> bool:
        """Tell whether the main process runs; a zombie does not."""
        return self.main is not None and is_alive(self.main)

    @property
    def is_killing(self) -> bool:
        """Tell whether SIGKILL is being sent."""
        return self.killing_since is not None

    @property
    def is_left_alone(self) -> bool:
        """Tell whether neither a stop nor a kill has begun."""
        return self.killing_since is None and self.stop_signal is None

    def is_anything_left(self) -> bool:
        """Tell whether a process of the attempt lives.

        Looks twice before it says no: a process forked during one look can be missed by it.
        """
        return bool(self.members() or self.members())

    def stop(self, signum: int, grace_s: float | None = None, is_hang: bool = False) -> None:
        """Deliver a stop to processes, never to a process group: see `StopDelivery`.

        A process that a signal had stopped is continued, so that it can act. A repeat tells no
        process twice. It may shorten the grace (`grace_s`), or say that the attempt hangs: then all
        are told at once.
        """
        members = self.members()
        stopped = []
        if self._delivery is None:
            self._delivery = StopDelivery(signum, self.main, self.heartbeat_dir)
            stopped = [process for process in members if process.state == "T"]
        self._delivery.order(self._grace_s if grace_s is None else grace_s, is_hang=is_hang)
        self._deliver(members)
        # Continued after the signal: a process acts on that before it does anything else.
        for process in stopped:
            if not self._delivery.holds(process):
                procfs.send_signal(process.pid, process.start_ticks, signal.SIGCONT)
        # Noted last, so that a repeated stop works if /proc could not be read now (EMFILE).
        if self.stop_signal is None:
            self.stop_signal = signum
            self.stopped_at = time.monotonic()

    def _deliver(self, members: list[Process], *, is_whole: bool = True) -> None:
        """Tell each process that is due; after main process and ranks, stop the others."""
        delivery = self._delivery
        assert delivery is not None
        main_lives = self.main_is_alive()
        is_busy = delivery.look(members, main_lives=main_lives, is_whole=is_whole)
        self._looked = [process for process in members if delivery.concerns(process)]
        if delivery.is_withholding:
            self.pause_s = WATCHFUL_PAUSE_S
        else:
            self.pause_s = STOPPING_PAUSE_S if main_lives else LONGEST_PAUSE_S
        if not main_lives and not is_busy and is_whole:
            self._stop_others(members)

    def kill(self) -> None:
        """Begin to SIGKILL everything; `advance` repeats it until nothing is left."""
        if self.killing_since is None:
            self.killing_since = time.monotonic()
            self._complain_at = self.killing_since + self._unkillable_after_s
            self.pause_s = FIRST_PAUSE_S

    def advance(self) -> bool:
        """Do what is due now and return whether a process is left."""
        watched = self._watched()
        members = watched or self.members()
        if not members and self._has_seen_any:
            members = self.members()
        if not members:
            return False
        if self.killing_since is None and self._delivery is not None:
            self._deliver(members, is_whole=not watched)
        if self.killing_since is not None:
            # Killed one by one to be counted. The cgroup's kill takes all at once, new forks too.
            for process in members:
                if procfs.send_signal(process.pid, process.start_ticks, signal.SIGKILL):
                    self.killed.add((process.pid, process.start_ticks))
            self._group.kill()
            self.pause_s = min(self.pause_s * 2, LONGEST_PAUSE_S)
        return True

    def _watched(self) -> list[Process]:
        """Return the living processes to watch; none if the next look at all of them is due."""
        now = time.monotonic()
        is_watchful = self._delivery is not None and self._delivery.is_withholding
        is_due = self.killing_since is not None or now >= self._look_again_at
        if not is_watchful or is_due or not self.main_is_alive():
            self._look_again_at = now + STOPPING_PAUSE_S
            return []
        again = [(old, procfs.read_process(old.pid)) for old in self._looked]
        return [
            process
            for old, process in again
            if process is not None
            and process.start_ticks == old.start_ticks
            and not process.has_ended
        ]

    def unkillable(self) -> tuple[StuckProcess, ...]:
        """Return the survivors when a kill has lasted too long, and again after as long."""
        now = time.monotonic()
        if self.killing_since is None or now < self._complain_at:
            return ()
        self._complain_at = now + self._unkillable_after_s
        return tuple(stuck_process(process) for process in self.members())

    def signal_exactly(self, pids: Collection[int], signum: int) -> list[int]:
        """Signal those of `pids` that belong to the attempt and return them."""
        return [
            process.pid
            for process in self.members()
            if process.pid in pids and procfs.send_signal(process.pid, process.start_ticks, signum)
        ]

    def _stop_others(self, members: list[Process]) -> None:
        """Stop ranks that are not attached; once all known ranks have ended, kill the others.

        If a rank was only a guess (the oldest survivor), the next oldest is told after its end: it
        may be the trainer. Nothing that may be saving is killed before the grace is over.
        """
        assert self._delivery is not None
        living = {(process.pid, process.start_ticks) for process in members}
        if any((rank.pid, rank.start_ticks) in living for rank in self._ranks):
            return
        if self._delivery.has_met_ranks or (self._ranks and self._ranks_are_certain):
            self.kill()
            return
        untold = [process for process in members if not self._delivery.was_told(process)]
        since_ticks = None if self.main is None else self.main.start_ticks
        choice = orphaned_ranks.choose(untold, self.heartbeat_dir, since_ticks)
        self._ranks = choice.processes
        self._ranks_are_certain = choice.is_certain
        if not self._ranks and self._ranks_are_certain:
            self.kill()
            return
        for rank in self._ranks:
            self._delivery.tell(rank.pid, rank.start_ticks)


def stuck_process(process: Process) -> StuckProcess:
    """Return what the kernel tells of a process that SIGKILL does not end, for the incident.

    `wchan`: the function it sleeps in; `syscall`: the number and arguments of its system call;
    `stack`: the kernel's frames (root only). They are of the first thread in uninterruptible sleep,
    else of the main thread. They are empty if they may not be read: proc(5).
    """
    task = _stuck_task(process.pid)
    stack = [line.rpartition("] ")[2] for line in _text(f"{task}/stack", 4096).splitlines()]
    return StuckProcess(
        pid=process.pid,
        comm=process.comm,
        state=process.state,
        wchan=_text(f"{task}/wchan", 128),
        syscall=_text(f"{task}/syscall", 256),
        stack=tuple(stack[:_MOST_FRAMES]),
    )


def _stuck_task(pid: int) -> str:
    try:
        names = os.listdir(f"/proc/{pid}/task")
    except OSError:
        names = []
    for name in names:
        state = _text(f"/proc/{pid}/task/{name}/stat", 512).rpartition(") ")[2][:1]
        if state == "D":
            return f"/proc/{pid}/task/{name}"
    return f"/proc/{pid}"


def _text(path: str, most: int) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(most).strip()
    except OSError:
        return ""  # it may not be read, or is gone
