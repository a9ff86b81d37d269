"""Ending an attempt: the stop (main process, then ranks), the kill loop, what is left of it.

The launcher uses it, and the daemon when the launcher has died; so it must not need to be the
parent of anything. Stdlib only.
"""

from __future__ import annotations

import signal
import time

from supervisor.identity import ProcessIdentity, is_alive
from supervisor.launcher import kin, procfs, ranks
from supervisor.launcher.cgroup import Group
from supervisor.launcher.procfs import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

UNKILLABLE_AFTER_S = 60.0
FIRST_PAUSE_S = 0.002
LONGEST_PAUSE_S = 0.25


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
    ) -> None:
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
        self._ranks: list[Process] = []
        self._told: set[tuple[int, int]] = set()
        self._ranks_are_certain = False
        # An exiting process shows no environment, so the ones seen before are kept by identity.
        self._seen: dict[tuple[int, int], Process] = {}
        self._has_seen_any = False

    def members(self) -> list[Process]:
        """Return what lives now, oldest first; the main process included."""
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
        found = kin.find(self.run_id, self.attempt, roots=roots, spare=self._spare())
        for process in found:
            self._seen[(process.pid, process.start_ticks)] = process
            self._has_seen_any = True
        return found

    def main_is_alive(self) -> bool:
        """Tell whether the main process runs; a zombie does not."""
        return self.main is not None and is_alive(self.main)

    def is_anything_left(self) -> bool:
        """Tell whether a process of the attempt lives.

        Looks twice before it says no: a process forked during one look can be missed by it.
        """
        return bool(self.members() or self.members())

    def stop(self, signum: int) -> None:
        """Deliver a stop: to the main process, or when it has ended to the ranks. Never to a group.

        Whatever was stopped by a signal is continued, so that it can act. A repeat does nothing.
        """
        if self.stop_signal is not None:
            return
        if self.main_is_alive():
            assert self.main is not None
            self._tell(self.main.pid, self.main.start_ticks, signum)
            for process in self.members():
                if process.state == "T":
                    procfs.send_signal(process.pid, process.start_ticks, signal.SIGCONT)
        else:
            self._stop_ranks(self.members(), signum)
        # Only now: were /proc out of reach (EMFILE), a repeated stop would have to work.
        self.stop_signal = signum
        self.stopped_at = time.monotonic()

    def kill(self) -> None:
        """Begin to SIGKILL everything; `advance` repeats it until nothing is left."""
        if self.killing_since is None:
            self.killing_since = time.monotonic()
            self._complain_at = self.killing_since + self._unkillable_after_s
            self.pause_s = FIRST_PAUSE_S

    def advance(self) -> bool:
        """Do what is due now and return whether anything is left."""
        members = self.members()
        if not members and self._has_seen_any:
            members = self.members()
        if not members:
            return False
        if self.killing_since is None and self.stop_signal is not None:
            if not self.main_is_alive():
                self._stop_ranks(members, self.stop_signal)
            self.pause_s = LONGEST_PAUSE_S
        if self.killing_since is not None:
            # Counted one by one; the group takes what was forked meanwhile, and all at once.
            for process in members:
                if procfs.send_signal(process.pid, process.start_ticks, signal.SIGKILL):
                    self.killed.add((process.pid, process.start_ticks))
            self._group.kill()
            self.pause_s = min(self.pause_s * 2, LONGEST_PAUSE_S)
        return True

    def unkillable(self) -> list[dict[str, Any]]:
        """Return what is left when a kill has lasted too long (again after as long), else []."""
        now = time.monotonic()
        if self.killing_since is None or now < self._complain_at:
            return []
        self._complain_at = now + self._unkillable_after_s
        return [
            {
                "pid": process.pid,
                "comm": process.comm,
                "state": process.state,
                **procfs.where_it_hangs(process.pid),
            }
            for process in self.members()
        ]

    def signal_exactly(self, pids: Collection[int], signum: int) -> list[int]:
        """Signal those of `pids` that belong to the attempt and return them."""
        return [
            process.pid
            for process in self.members()
            if process.pid in pids and procfs.send_signal(process.pid, process.start_ticks, signum)
        ]

    def _stop_ranks(self, members: list[Process], signum: int) -> None:
        """Stop the ranks once; when all known ones have ended, kill what served them.

        Where ranks were only guessed (the oldest survivor), the next oldest is told instead: it
        may be the trainer, and nothing that may be saving is killed before the grace is over.
        """
        living = {(process.pid, process.start_ticks) for process in members}
        if any((rank.pid, rank.start_ticks) in living for rank in self._ranks):
            return
        if self._ranks and self._ranks_are_certain:
            self.kill()
            return
        untold = [p for p in members if (p.pid, p.start_ticks) not in self._told]
        since_ticks = None if self.main is None else self.main.start_ticks
        choice = ranks.choose(untold, self.heartbeat_dir, since_ticks)
        self._ranks = choice.processes
        self._ranks_are_certain = choice.is_certain
        if not self._ranks and self._ranks_are_certain:
            self.kill()
            return
        for rank in self._ranks:
            self._tell(rank.pid, rank.start_ticks, signum)

    def _tell(self, pid: int, start_ticks: int, signum: int) -> None:
        self._told.add((pid, start_ticks))
        procfs.send_signal(pid, start_ticks, signum)
        procfs.send_signal(pid, start_ticks, signal.SIGCONT)
