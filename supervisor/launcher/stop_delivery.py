"""How a stop reaches an attempt: which processes get the page's byte or the signal, and when.

Attached ranks are told at once, by page and by signal. A main process that is no rank is told when
they have ended. A shell, `unshare` or a Python launcher may take them along if it dies first, or
never tell them. torchrun and its like are told first (`elastic_agents`). It kills nothing. Stdlib.
"""

from __future__ import annotations

import signal
import time

from supervisor.launcher import elastic_agents
from supervisor.launcher.attached_ranks import (
    Attached,
    ask_to_stop,
    attached,
    keeps_open,
    lacks_ranks,
    process_of,
)
from supervisor.launcher.stop_heard import waits_for_save
from supervisor.launcher.waiting_shells import is_needed, sequencers
from supervisor.system import procfs
from supervisor.system.procfs import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from supervisor.system.identity import ProcessIdentity

# A main process whose ranks do not end in time gets a quarter of the grace, at most this.
LATEST_S = 10.0
# For a stop order of an older daemon, and a launch order without SUPERVISOR_GRACE_S.
UNTOLD_GRACE_S = 20.0
AGENT_FIRST_S = 1.0
# A worker installs its handlers milliseconds after it made its page; on a loaded machine, later.
ATTACHING_S = 2.0
LINGER_S = 2.0


def main_due_after(grace_s: float) -> float:
    """Return how long after a stop the main process is told at the latest, seconds."""
    return max(grace_s - min(LATEST_S, grace_s / 4), 0.0)


class _Rank:
    """A living attached process, its page if it has one, its ancestors, and its elastic agent."""

    __slots__ = ("above", "agent", "page", "process")

    def __init__(
        self, page: Attached | None, process: Process, above: list[Process], agent: Process | None
    ) -> None:
        self.page, self.process, self.above, self.agent = page, process, above, agent

    @property
    def has_said_its_end(self) -> bool:
        """Whether its page has an outcome; of a rank without a page only its end can be seen."""
        return self.page is not None and self.page.has_outcome


class StopDelivery:
    """One stop on its way to one attempt. Call `look` repeatedly: ranks may attach late."""

    def __init__(
        self, signum: int, main: ProcessIdentity | None, heartbeat_dir: str | None
    ) -> None:
        self.signum = signum
        self.begun_at = time.monotonic()
        self.is_withholding = False
        """Whether the main process still waits for its turn: ranks save first."""
        self.has_met_ranks = False
        self._main = main
        self._main_pid = 0 if main is None else main.pid
        self._heartbeat_dir = heartbeat_dir
        self._is_hang = False
        self._main_due_at = float("inf")
        self._main_told = False
        self._told: set[tuple[int, int]] = set()
        self._frozen: dict[tuple[int, int], Process] = {}
        self._needed: dict[tuple[int, int], bool] = {}
        self._table: dict[int, Process] = {}
        self._released: list[Process] = []
        self._done_at: float | None = None
        self._seen: dict[tuple[int, int], _Rank] = {}
        self._agents: dict[tuple[int, int], Process] = {}
        self._are_some_missing: bool | None = None
        self._helpers: set[tuple[int, int]] = set()

    def order(self, grace_s: float, *, is_hang: bool) -> None:
        """Take a stop order or its repeat, which may shorten the grace or say that it hangs."""
        due = time.monotonic() + main_due_after(grace_s)
        self._main_due_at = min(self._main_due_at, due)
        self._is_hang = self._is_hang or is_hang

    def tell(self, pid: int, start_ticks: int) -> None:
        """Signal a process, and continue it if a signal had stopped it."""
        self._told.add((pid, start_ticks))
        self._signal(pid, start_ticks)
        procfs.send_signal(pid, start_ticks, signal.SIGCONT)

    def _signal(self, pid: int, start_ticks: int) -> None:
        if self._is_hang or not waits_for_save(self._heartbeat_dir, pid, start_ticks):
            procfs.send_signal(pid, start_ticks, self.signum)

    def holds(self, process: Process) -> bool:
        """Tell whether this delivery has stopped it (SIGSTOP) until the ranks have saved."""
        return (process.pid, process.start_ticks) in self._frozen

    def was_told(self, process: Process) -> bool:
        """Tell whether a process has had the signal."""
        return (process.pid, process.start_ticks) in self._told

    def concerns(self, process: Process) -> bool:
        """Tell whether it has to be watched: the main process, a rank, an agent, a frozen shell."""
        key = (process.pid, process.start_ticks)
        is_main = process.pid == self._main_pid
        return is_main or any(key in known for known in (self._seen, self._agents, self._frozen))

    def look(self, members: Sequence[Process], *, main_lives: bool, is_whole: bool = True) -> bool:
        """Tell each process that is due; return whether a rank, agent or released shell lives.

        `members`: the living processes of the attempt, with the main process if it lives. If not
        `is_whole`, they are only those that `concerns` names.
        """
        self._table = table = {process.pid: process for process in members}
        main = table.get(self._main_pid) if main_lives else None
        if main is None and main_lives and self._main is not None and not self._main_told:
            self._main_told = True  # /proc's mount options hide it
            self.tell(self._main.pid, self._main.start_ticks)
        if main is not None and self.signum == signal.SIGCONT:
            self._tell_once(main)  # srun: its tasks are told through the controller
            return True
        pages = attached(self._heartbeat_dir)
        ranks = self._ranks(pages, members, table, is_whole=is_whole)
        self.has_met_ranks = self.has_met_ranks or bool(ranks)
        agents_here = [one for one in self._agents.values() if _is_in(one, table)]
        for agent in agents_here:
            self._tell_once(agent)
        self._ask(pages, ranks, has_agent=bool(agents_here) or self._main_is_agent(main))
        for rank in ranks:
            if rank.agent is None or not _is_in(rank.agent, table) or self._is_hang:
                self._tell_rank(rank)
            if rank.process.state == "T":
                procfs.send_signal(rank.process.pid, rank.process.start_ticks, signal.SIGCONT)
        if main is not None and not self._main_told:
            self._see_to_main(main, pages, ranks, agents_here)
        self.is_withholding = main is not None and not self._main_told
        return bool(ranks or agents_here) or any(_is_in(one, table) for one in self._released)

    def _ranks(
        self,
        pages: list[Attached],
        members: Sequence[Process],
        table: dict[int, Process],
        *,
        is_whole: bool,
    ) -> list[_Rank]:
        """Return the living ranks, also if their page is gone or belongs to another process."""
        found = {}
        for page in pages:
            process = process_of(page, members)
            if process is not None:
                known = self._known(process, table)
                known.page, known.process = page, process
                found[(process.pid, process.start_ticks)] = known
        if is_whole:
            owners = {pid for pid, _ in found}
            for process in members:
                if self._is_rank_without_page(process, owners, table):
                    self._seen[(process.pid, process.start_ticks)] = self._known(process, table)
        for key, rank in self._seen.items():
            if key not in found and _is_in(rank.process, table):
                rank.process = table[rank.process.pid]
                found[key] = rank
        self._seen = found
        return list(found.values())

    def _known(self, process: Process, table: dict[int, Process]) -> _Rank:
        rank = self._seen.get((process.pid, process.start_ticks))
        if rank is None:
            above = elastic_agents.ancestors(process, table, self._main_pid)
            rank = _Rank(None, process, above, elastic_agents.agent_of(process, above))
            if rank.agent is not None:
                self._agents[(rank.agent.pid, rank.agent.start_ticks)] = rank.agent
        return rank

    def _is_rank_without_page(
        self, process: Process, owners: set[int], table: dict[int, Process]
    ) -> bool:
        """Tell whether it is a rank, but another has its page: it has no LOCAL_RANK, say.

        A process that a page's owner started is a helper (an evaluation): it follows the page.
        """
        if process.pid in owners:
            return False
        if process.pid == self._main_pid:  # a helper of an earlier version may have taken its page
            return keeps_open(process.pid, self._heartbeat_dir, "")
        key = (process.pid, process.start_ticks)
        above = elastic_agents.ancestors(process, table, self._main_pid)
        if any(one.pid in owners for one in above):
            self._helpers.add(key)  # kept, since it may outlive the owner
        return key not in self._helpers and keeps_open(process.pid, self._heartbeat_dir)

    def _main_is_agent(self, main: Process | None) -> bool:
        return main is not None and elastic_agents.is_agent(procfs.read_command(main.pid))

    def _ask(self, pages: list[Attached], ranks: list[_Rank], *, has_agent: bool) -> None:
        """Write the byte, also for a rank whose process cannot be found (in a container)."""
        known = {rank.page.path: rank for rank in ranks if rank.page is not None}
        is_early = time.monotonic() < self.begun_at + AGENT_FIRST_S and not self._is_hang
        for page in pages:
            rank = known.get(page.path)
            waits = has_agent if rank is None else rank.agent is not None
            if not (waits and is_early):
                ask_to_stop(page)

    def _tell_rank(self, rank: _Rank) -> None:
        process = rank.process
        if self.was_told(process):
            return
        if procfs.would_die_of(process.pid, self.signum):
            if rank.page is None or rank.page.reads_stop:
                return  # the page tells it: attach() in another thread, or its handler was removed
            if time.monotonic_ns() - rank.page.created_ns < ATTACHING_S * 1e9:
                return  # it is attaching, and will have its handlers in a moment
        self.tell(process.pid, process.start_ticks)

    def _tell_once(self, process: Process) -> None:
        if not self.was_told(process):
            self.tell(process.pid, process.start_ticks)

    def _see_to_main(
        self, main: Process, pages: list[Attached], ranks: list[_Rank], agents_here: list[Process]
    ) -> None:
        now = time.monotonic()
        if self.was_told(main) or any(rank.process.pid == main.pid for rank in ranks):
            self._main_told = True  # `look` told it as an agent or as a rank
            return
        if self._are_some_missing is None:
            here = len(pages) + sum(rank.page is None for rank in ranks)
            is_known = bool(ranks) and not agents_here
            self._are_some_missing = is_known and lacks_ranks(ranks[0].process.pid, here)
        is_alone = not (ranks or agents_here)
        if self._is_hang or now >= self._main_due_at or is_alone or self._are_some_missing:
            self._release(main)
        elif agents_here or not all(rank.has_said_its_end for rank in ranks):
            self._done_at = None
            self._freeze(_sequencers(main, ranks))
        else:
            # All ranks have said how they end. Until they have ended, nothing new may begin.
            self._done_at = self._done_at or now
            if now < self._done_at + LINGER_S:
                self._freeze([main, *_sequencers(main, ranks)])
            else:
                self._release(main)

    def _freeze(self, processes: list[Process]) -> None:
        ranks = [rank.process for rank in self._seen.values()]
        for process in processes:
            key = (process.pid, process.start_ticks)
            if key not in self._needed:
                self._needed[key] = is_needed(process, ranks, self._table, self._main_pid)
            if key in self._frozen or self._needed[key]:
                continue
            if procfs.send_signal(*key, signal.SIGSTOP):
                self._frozen[key] = process

    def _release(self, main: Process) -> None:
        """Signal the main process and the shells on the way to the ranks, then continue them.

        The signal comes first: a continued process acts on it before anything else.
        """
        self._main_told = True
        told = {(main.pid, main.start_ticks): main, **self._frozen}
        for pid, start_ticks in told:
            self._signal(pid, start_ticks)
        for pid, start_ticks in told:
            procfs.send_signal(pid, start_ticks, signal.SIGCONT)
        self._told.update(told)
        self._released = [process for process in told.values() if process.pid != main.pid]
        self._frozen = {}


def _is_in(process: Process, table: dict[int, Process]) -> bool:
    here = table.get(process.pid)
    return here is not None and here.start_ticks == process.start_ticks


def _sequencers(main: Process, ranks: list[_Rank]) -> list[Process]:
    """Return the shells from the main process down to the ranks, or to their agents."""
    above = {main.pid: main}
    for rank in ranks:
        outer = rank.above
        if rank.agent is not None:
            outer = outer[[process.pid for process in outer].index(rank.agent.pid) + 1 :]
        above.update((process.pid, process) for process in outer)
    return sequencers(above.values())
