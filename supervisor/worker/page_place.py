"""Where a rank writes its page: under the name where the supervisor looks, or out of sight.

Stdlib only: trainers import it. It must never write over a page that another process owns.
"""

from __future__ import annotations

import errno
import mmap
import os
from typing import TYPE_CHECKING

from .page_layout import IS_SECOND, MAGIC, PAGE_BYTES, STOP_ASKED
from .page_owner import PageOwner
from .page_reading import read_page

if TYPE_CHECKING:
    from collections.abc import Callable


class PagePlace:
    """The place of one page. `words` gives its bytes; `write_to` redirects all writing."""

    __slots__ = (
        "_created_ns", "_has_claimed", "_inode", "_is_displaced", "_owner", "_path", "_words",
        "_write_to", "is_owner_asked", "is_shared",
    )  # fmt: skip

    is_shared: bool
    """Whether other processes can read what is written."""
    is_owner_asked: bool
    """Whether the process that owns the page instead of this one was asked to stop."""

    def __init__(
        self,
        path: str,
        *,
        start_ticks: int,
        created_ns: int,
        words: Callable[[], memoryview],
        write_to: Callable[[memoryview], None],
    ) -> None:
        """Put the page there, unless one with a living owner is there. Raises OSError."""
        self._path = path
        self._created_ns = created_ns
        self._words = words
        self._write_to = write_to
        self._owner = PageOwner(path, start_ticks)
        self._inode = 0
        self._has_claimed = self._is_displaced = self.is_owner_asked = False
        self.is_shared = self._owner.settle(self._put_first)

    def claim(self) -> None:
        """Own the page; if another process owns it, write to private memory from now on."""
        if self._has_claimed:
            return
        if not self.is_shared:
            self._succeed()
        elif self._owner.claim(self._put_if_possible):
            self._has_claimed = True
        else:
            self._lose()

    def look(self) -> bool:
        """Put the page where the supervisor looks, if it is not there; True if that was done now.

        The page may be gone (RemoveIPC), or a helper of a version that knows no owners may have put
        its own there. Raises OSError (its directory is not there yet, no space).
        """
        if not self.is_shared:
            self._ask()
            return self._succeed()
        try:
            named = os.lstat(self._path).st_ino
        except FileNotFoundError:
            named = 0
        if named == self._inode:
            return False
        if self._has_claimed:
            return self._defend()
        if named:
            self._is_displaced = True
            self._ask()
        if self._is_displaced:
            return False  # until this process beats: the other one may be the trainer
        with self._owner.alone():
            if os.path.lexists(self._path):
                return False
            self._put()
        return True

    def let_go(self) -> None:
        """In a forked child: the page is the parent's."""
        self.is_shared = False
        self._owner.let_go()

    def _lose(self) -> None:
        """Another process owns the page: go on in private memory."""
        before = self._words()
        self._owner.give_up()
        self.is_shared = self._has_claimed = False
        self._write_to(memoryview(bytearray(before)).cast("q"))
        # A reader that has the old page open must not take it for the owner's.
        before.cast("B")[: len(MAGIC)] = bytes(len(MAGIC))

    def _succeed(self) -> bool:
        """Take the page of an owner that has ended, if this process attached before that owner.

        A helper that attached later stays a helper: it knows nothing of how training went.
        """
        page = read_page(self._path)
        if page is None or page.created_monotonic_ns <= self._created_ns:
            return False
        if not self._owner.has_died(page) or not self._owner.claim(self._put_if_possible):
            return False
        self._has_claimed = self.is_shared = True
        return True

    def _defend(self) -> bool:
        """Put the page back, unless a living owner that attached earlier has put its own there."""
        with self._owner.alone():
            page = read_page(self._path)
            # In an emptied directory two processes may have claimed: the first to attach has it.
            is_earlier = page is not None and page.created_monotonic_ns < self._created_ns
            if is_earlier and self._owner.is_living_owner(page):
                self._lose()
                return False
            self._put()
        self._owner.claim(_nothing)  # the file that was locked may be gone as well
        return True

    def _ask(self) -> None:
        self.is_owner_asked = self.is_owner_asked or _is_asked(self._path)

    def _put_first(self, is_second: bool) -> None:
        self._words().cast("B")[IS_SECOND] = is_second
        self._put()

    def _put(self) -> None:
        page, self._inode = put_page(self._path, bytes(self._words()))
        self._write_to(memoryview(page).cast("q"))

    def _put_if_possible(self) -> None:
        try:
            self._put()
        except OSError:
            self._inode = -1  # the next look tries again


def _nothing() -> None:
    """For a claim where the page is in its place already."""


def _is_asked(path: str) -> bool:
    """Whether the launcher has asked for a stop in the page that is there."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(STOP_ASKED + 1)[STOP_ASKED:] not in (b"", b"\0")
    except OSError:
        return False


def put_page(path: str, content: bytes) -> tuple[mmap.mmap, int]:
    """Put a whole page there by rename: none is ever seen half, and none has two writers.

    Returns its mapping and its inode's number.
    """
    stage = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.tmp-{os.getpid()}")
    fd = os.open(stage, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        try:
            # Written, not truncated to length: on a full tmpfs a hole is SIGBUS at first touch.
            if os.write(fd, content) != PAGE_BYTES:
                raise OSError(errno.ENOSPC, "no space for a heartbeat page", path)
            page = mmap.mmap(fd, PAGE_BYTES)
            inode = os.fstat(fd).st_ino
            os.rename(stage, path)
        finally:
            os.close(fd)
    except OSError:
        if os.path.exists(stage):
            os.unlink(stage)
        raise
    return page, inode
