"""What is known of an attempt whose ranks have ended while its main process lives."""

from collections.abc import Sequence

from supervisor.core.looks import RanksGone
from supervisor.daemon.presence import RankPresence
from supervisor.daemon.quiet import Quiet
from supervisor.identity import ProcessIdentity, is_alive, read_stat
from supervisor.page import Page
from supervisor.watch.process_tree import sample_tree


class Desertion:
    """Asked at each look; it samples the main process only while all ranks are gone."""

    def __init__(self, presence: RankPresence) -> None:
        self._presence = presence
        self._quiet: Quiet | None = None

    def facts(
        self, pages: Sequence[Page], main: ProcessIdentity | None, now: float
    ) -> RanksGone | None:
        """Who has gone, and how long the main process has done nothing since; None otherwise."""
        gone_at = self._presence.all_gone_at(pages)
        is_rank = main is not None and any(page.pid == main.pid for page in pages)
        if gone_at is None or main is None or is_rank or not is_alive(main):
            self._quiet = None
            return None
        has_ended_well = all(page.outcome is not None for page in pages)
        quiet_s = 0.0
        if not has_ended_well:
            pid = main.pid
            if self._quiet is None:
                self._quiet = Quiet(lambda: sample_tree([pid], pid))
            quiet_s = self._quiet.seconds(now)
        ranks = ", ".join(f"rank {page.rank} (pid {page.pid})" for page in pages[:4])
        return RanksGone(
            ranks if len(pages) <= 4 else f"{ranks} and {len(pages) - 4} more",
            _name(main.pid),
            max(now - gone_at, 0.0),
            has_ended_well,
            quiet_s,
        )


def _name(pid: int) -> str:
    stat = read_stat(pid)
    return f"{'?' if stat is None else stat[0]} (pid {pid})"
