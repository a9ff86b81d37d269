"""Which process owns a rank's page: the first that beats or enters a phase, while it lives.

A trainer's helpers attach as well: an evaluation script calls `attach`, too. Stdlib only:
trainers import it. It must never wait long, and never raise because it cannot find something out.
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

# Two bytes of the file beside the page. They are locked by record locks (fcntl(2)), not flock(2).
# No forked child inherits those, not even one that a C library forks: they end with their process.
# They hold across PID namespaces. They end when the process closes *any* descriptor of the file: so
# it opens only one.
_OWNED, _BUSY = 0, 1
_BUSY_S = 0.5
_PAUSE_S = 0.001
_HELD = (errno.EACCES, errno.EAGAIN)
# Pages are usually here. Elsewhere the mounts have to be asked what file system it is.
_SHARED_MEMORY = "/dev/shm/"


class PageOwner:
    """Whether this process may own the page at `path`; `start_ticks` are this process's."""

    __slots__ = ("_fd", "_file", "_has_locks", "_lock_path", "_path", "_self")

    def __init__(self, path: str, start_ticks: int) -> None:
        folder, name = os.path.split(path)
        self._path = path
        self._lock_path = os.path.join(folder, OWNER_PREFIX + name.rpartition("-")[2])
        self._self = os.getpid(), start_ticks
        # A lock on NFS can wait for a server that has gone: there the page alone decides.
        self._has_locks = path.startswith(_SHARED_MEMORY) or not _is_remote(folder)
        self._fd = -1
        self._file = 0, 0

    def settle(self, place: Callable[[bool], None]) -> bool:
        """At attach: put the page there unless another process owns it. True if that was done.

        A page is taken over from a process that has not begun: it may only have started this one.
        `place` puts the page there; its argument says that this process came second. Raises what
        `place` raises.
        """
        with self.alone():
            page = read_page(self._path)
            if self._is_locked_elsewhere() or self.is_living_owner(page):
                return False
            place(page is not None and self._lives(page))
        return True

    def claim(self, place: Callable[[], None]) -> bool:
        """At the first beat or phase: whether this process owns the page from now on.

        `place` puts this process's page there, if none or one without an owner is there. It must
        not raise.
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
        """Whether the owner of this page has ended."""
        if page is None or self.is_living_owner(page):
            return False  # an emptied directory says nothing of the owner
        with self.alone():
            return not self._is_locked_elsewhere()

    def is_living_owner(self, page: Page | None) -> bool:
        """Whether this is the page of another process that has begun and lives here.

        A process of another PID namespace is not found: there the lock decides.
        """
        return page is not None and page.is_begun and self._lives(page)

    def _lives(self, page: Page) -> bool:
        """Whether it is the page of another process that lives here."""
        if page.start_ticks == 0:
            return False  # the process that wrote the page could not read /proc
        if (page.pid, page.start_ticks) == self._self:
            return False  # this process's own page, from before an exec
        try:
            stat = read_stat(page.pid)
        except OSError:
            return False  # out of descriptors: not known
        return stat is not None and int(stat[1][19]) == page.start_ticks and not has_ended(stat[1])

    def give_up(self) -> None:
        """Unlock the page: another process owns it."""
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
        """Keep this rank's other processes from attaching and claiming. It waits 0.5 s at most."""
        self._open()
        until = monotonic() + _BUSY_S
        while not self._try_lock(_BUSY) and monotonic() < until:
            sleep(_PAUSE_S)  # it is held for the length of a few system calls
        try:
            yield
        finally:
            self._unlock(_BUSY)

    def _open(self) -> None:
        """Open the file that has the name now: an emptied directory has lost the locks with it."""
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
        return True  # an upgrade is removing it right now: let the page alone decide, as on NFS
    return mounts.is_remote(Path(folder))
