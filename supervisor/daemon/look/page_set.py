"""The heartbeat pages of one attempt, kept open while its daemon lives."""

import os
from pathlib import Path

from supervisor.daemon.look.rank_presence import is_there
from supervisor.worker.page import Page
from supervisor.worker.page_layout import RANK_PREFIX
from supervisor.worker.page_reading import read_open_page


class PageSet:
    """The pages of one attempt, kept open: they stay readable when their directory vanishes.

    systemd-logind's RemoveIPC empties a user's /dev/shm at logout; the trainer's mapping and these
    descriptors outlive the names. A helper process with an old worker, which knows no page owners,
    may replace the page of a living rank that has begun. Such a page is passed over for good.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._open: dict[str, tuple[int, int]] = {}
        self._helpers: dict[str, tuple[int, int]] = {}

    def read(self) -> list[Page]:
        """All pages in the order of local ranks; files that are no pages are passed over."""
        try:
            found = [path.name for path in self._directory.iterdir()]
        except OSError:
            found = []
        for name in (n for n in found if n[:5] == RANK_PREFIX and n[5:].isdigit()):
            self._refresh(name)
        pages = [page for fd, _ in self._open.values() if (page := read_open_page(fd)) is not None]
        return sorted(pages, key=lambda page: page.local_rank)

    def _refresh(self, name: str) -> None:
        path = self._directory / name
        known, helper = self._open.get(name), self._helpers.get(name)
        try:
            inode = path.lstat().st_ino
            if any(page is not None and page[1] == inode for page in (known, helper)):
                return
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return
        # The helper's page stays open too: an open file's inode number is not given to another.
        if known is not None and _is_of_a_helper(read_open_page(fd), read_open_page(known[0])):
            known, self._helpers[name] = helper, (fd, inode)
        else:
            self._open[name] = (fd, inode)
        if known is not None:
            os.close(known[0])

    @property
    def is_vanished(self) -> bool:
        """Whether the directory is gone; it was made before the attempt began."""
        return not self._directory.is_dir()

    def close(self) -> None:
        """Close the pages."""
        for fd, _ in (*self._open.values(), *self._helpers.values()):
            os.close(fd)
        self._open.clear()
        self._helpers.clear()


def _is_of_a_helper(page: Page | None, owners: Page | None) -> bool:
    """Whether `page` has replaced that of another process, which has begun and lives."""
    if page is None or owners is None or not owners.is_begun:
        return False
    is_its_own = (page.pid, page.start_ticks) == (owners.pid, owners.start_ticks)
    return not is_its_own and is_there(owners)
