"""Which attached ranks are there, and since when all of them are gone.

A page's pid may be of another PID namespace: only a rank once seen alive can be seen to be gone.
"""

from collections.abc import Sequence

from supervisor.system.identity import has_ended, read_stat
from supervisor.worker.page import Page


def is_there(page: Page) -> bool:
    """Whether the page's process runs."""
    stat = read_stat(page.pid)
    return stat is not None and int(stat[1][19]) == page.start_ticks and not has_ended(stat[1])


class RankPresence:
    """Follows the ranks of one attempt; asked at each look."""

    def __init__(self, *, were_gone: bool = False) -> None:
        """`were_gone`: an earlier daemon saw the ranks alive, and then saw them gone."""
        self._seen: set[tuple[int, int]] = set()
        self._gone_at: dict[tuple[int, int], float] = {}
        self._were_gone = were_gone

    def look(self, pages: Sequence[Page], now: float) -> list[Page]:
        """Note which ranks are there, and return their pages."""
        there = []
        for page in pages:
            key = _key(page)
            if is_there(page):
                there.append(page)
                self._seen.add(key)
                self._gone_at.pop(key, None)
                self._were_gone = False
            elif key in self._seen or self._were_gone:
                self._gone_at.setdefault(key, now)
        return there

    def gone_among(self, pages: Sequence[Page]) -> list[Page]:
        """The ranks that ended without saying how, while the others go on.

        A torchrun restart with fewer ranks leaves pages of the round before. Ranks that were gone
        before the youngest page was made are therefore passed over.
        """
        born = [
            page.created_monotonic_ns / 1e9 for page in pages if _key(page) not in self._gone_at
        ]
        youngest = max(born, default=0.0)
        return [
            page
            for page in pages
            if page.outcome is None
            and not page.has_ended_in_order
            and self._gone_at.get(_key(page), 0.0) > youngest
        ]

    def all_gone_at(self, pages: Sequence[Page]) -> float | None:
        """When the last of all ranks was seen to have gone; None while one may be there."""
        if not pages or any(_key(page) not in self._gone_at for page in pages):
            return None
        return max(self._gone_at[_key(page)] for page in pages)


def _key(page: Page) -> tuple[int, int]:
    return (page.pid, page.start_ticks)
