"""What is known of an attempt whose ranks have ended while its main process lives."""

from collections.abc import Sequence
from pathlib import Path

from supervisor.core.look_facts import RanksGone
from supervisor.daemon.look.idle_processes import SAMPLES_S, IdleProcesses
from supervisor.daemon.look.process_samples import sample_tree
from supervisor.daemon.look.rank_presence import RankPresence
from supervisor.launcher.attached_ranks import keeps_open
from supervisor.system.identity import ProcessIdentity, is_alive, read_stat
from supervisor.worker.page import Page


class RanksGoneWatch:
    """Asked at each look; it samples the main process only while all ranks are gone."""

    def __init__(self, presence: RankPresence, heartbeat_dir: Path) -> None:
        self._presence = presence
        self._heartbeat_dir = str(heartbeat_dir)
        self._quiet: IdleProcesses | None = None
        self._asked_at: float | None = None
        self._has_rank = False

    def facts(
        self, pages: Sequence[Page], main: ProcessIdentity | None, now: float
    ) -> RanksGone | None:
        """The ranks that are gone, and how long the main process is idle; None if a rank lives."""
        gone_at = self._presence.all_gone_at(pages)
        is_rank = main is not None and any(page.pid == main.pid for page in pages)
        if gone_at is None or main is None or is_rank or not is_alive(main):
            self._quiet = self._asked_at = None
            return None
        if self._is_attached(main.pid, now):
            self._quiet = None
            return None
        has_ended_well = all(page.outcome is not None or page.has_ended_in_order for page in pages)
        quiet_s = 0.0
        if not has_ended_well:
            pid = main.pid
            if self._quiet is None:
                self._quiet = IdleProcesses(lambda: sample_tree([pid], pid))
            quiet_s = self._quiet.seconds(now)
        ranks = ", ".join(f"rank {page.rank} (pid {page.pid})" for page in pages[:4])
        return RanksGone(
            ranks if len(pages) <= 4 else f"{ranks} and {len(pages) - 4} more",
            _name(main.pid),
            max(now - gone_at, 0.0),
            has_ended_well,
            quiet_s,
        )

    def _is_attached(self, main_pid: int, now: float) -> bool:
        """Whether one of the main process's descendants is a rank that no page names.

        A helper that attaches before a rank's first beat takes the rank's page. The page stays when
        the helper ends.
        """
        if self._asked_at is None or now - self._asked_at >= SAMPLES_S:
            self._asked_at = now
            tree = sample_tree([main_pid], main_pid).processes
            self._has_rank = any(keeps_open(pid, self._heartbeat_dir) for pid in tree)
        return self._has_rank


def _name(pid: int) -> str:
    stat = read_stat(pid)
    return f"{'?' if stat is None else stat[0]} (pid {pid})"
