"""To which process a rank's page belongs: the first that beats or enters a phase, while it lives.

A trainer's helpers attach as well: an evaluation script has the same lines in it. Stdlib only:
trainers import it. It must never wait long, nor raise for what it cannot find out.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from typing import TYPE_CHECKING

from .page_layout import OWNER_PREFIX
from .page_reading import read_page
from .processes import has_ended, read_stat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .page import Page

# Two bytes of the file beside the page. Record locks (fcntl(2)), not flock(2): no forked child has
# them, also none that a C library forks, so they end with their process; and they hold across PID
# namespaces. They end with *any* descriptor of the file that the process closes: it opens one.
_OWNED, _BUSY = 0, 1
_BUSY_S = 0.5
_PAUSE_S = 0.001
_HELD = (errno.EACCES, errno.EAGAIN)
# Where pages usually are; elsewhere the mounts have to be asked.
_SHARED_MEMORY = "/dev/shm/"


class PageOwner:
    """Whether this process may own the page at `path`; `start_ticks` are of this process."""

    __slots__ = ("_fd", "_file", "_has_locks", "_lock_path", "_path", "_self")

    def __init__(self, path: str, start_ticks: int) -> None:
        folder, name = os.path.split(path)
        self._path = path
        self._lock_path = os.path.join(folder, OWNER_PREFIX + name.rpartition("-")[2])
        self._self = os.getpid(), start_ticks
        # A lock on NFS can wait for a server that has gone: there the page alone tells.
        self._has_locks = path.startswith(_SHARED_MEMORY) or not _is_remote(folder)
        self._fd = -1
        self._file = 0, 0

    def settle(self, place: Callable[[bool], None]) -> bool:
        """At attach: put the page there unless another process owns it; whether that was done.

        A page whose process has not begun is taken over: it may only have started this one. Then
        `place` is told that this one came second. Raises what `place` raises.
        """
        with self.alone():
            page = read_page(self._path)
            if self._is_locked_elsewhere() or self.is_living_owner(page):
                return False
            place(page is not None and self._lives(page))
        return True

    def claim(self, place: Callable[[], None]) -> bool:
        """At the first beat or phase: whether the page is this process's from now on.

        `place` puts its page there, where another one that owns nothing is. It must not raise.
        """
        with self.alone():
            if not self._try_lock(_OWNED):
                return False
            page = read_page(self._path)
            if self.is_living_owner(page):
                self._unlock(_OWNED)
                return False
            if page is None or (page.pid, page.start_ticks) != self._self:
                place()
        return True

    def has_died(self, page: Page | None) -> bool:
        """Whether the owner of a page that is there has ended."""
        if page is None or self.is_living_owner(page):
            return False  # an emptied directory says nothing of it
        with self.alone():
            return not self._is_locked_elsewhere()

    def is_living_owner(self, page: Page | None) -> bool:
        """Whether this is the page of another process, which has begun and lives here.

        A process of another PID namespace is not found: there the lock tells.
        """
        return page is not None and page.is_begun and self._lives(page)

    def _lives(self, page: Page) -> bool:
        """Whether it is the page of another process that lives here."""
        if page.start_ticks == 0:
            return False  # it could not read /proc
        if (page.pid, page.start_ticks) == self._self:
            return False  # its own, of before an exec
        try:
            stat = read_stat(page.pid)
        except OSError:
            return False  # out of descriptors: not known
        return stat is not None and int(stat[1][19]) == page.start_ticks and not has_ended(stat[1])

    def give_up(self) -> None:
        """Own the page no more: it is another's."""
        if self._has_file():
            self._unlock(_OWNED)

    def let_go(self) -> None:
        """In a forked child: close what belongs to the parent."""
        if self._has_file():
            os.close(self._fd)
        self._fd = -1

    def _is_locked_elsewhere(self) -> bool:
        if not self._try_lock(_OWNED):
            return True
        self._unlock(_OWNED)
        return False

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep others of this rank from attaching and claiming meanwhile, for half a second."""
        self._open()
        until = monotonic() + _BUSY_S
        while not self._try_lock(_BUSY) and monotonic() < until:
            sleep(_PAUSE_S)  # it is held for the length of a few system calls
        try:
            yield
        finally:
            self._unlock(_BUSY)

    def _open(self) -> None:
        """Open the file that has the name now: an emptied directory takes its locks along."""
        if self._has_file():
            with suppress(OSError):
                named = os.stat(self._lock_path)
                if (named.st_dev, named.st_ino) == self._file:
                    return
            os.close(self._fd)
        self._fd = -1
        with suppress(OSError):  # no directory: the page alone tells
            self._fd = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            found = os.fstat(self._fd)
            self._file = found.st_dev, found.st_ino

    def _has_file(self) -> bool:
        """Whether the descriptor is still ours: a script may close all, and open others."""
        if self._fd < 0:
            return False
        try:
            found = os.fstat(self._fd)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._file

    def _try_lock(self, place: int) -> bool:
        """Lock one byte; False only where another process has it."""
        if self._fd < 0 or not self._has_locks:
            return True
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError as error:
            return error.errno not in _HELD  # a file system without locks
        return True

    def _unlock(self, place: int) -> None:
        if self._fd >= 0 and self._has_locks:
            with suppress(OSError):
                fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, place)


def _is_remote(folder: str) -> bool:
    from pathlib import Path

    try:
        from . import mounts  # few need it: pages are in memory
    except ImportError:
        return True  # an upgrade is just removing it: as with a remote one, the page alone tells
    return mounts.is_remote(Path(folder))
