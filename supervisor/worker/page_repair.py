"""Keeps a rank's page and stacks file where the supervisor looks for them.

systemd-logind's RemoveIPC empties a user's /dev/shm at logout; the daemon makes the directory
again, and each rank puts its own files back. Stdlib only: trainers import it.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from pathlib import Path
from time import monotonic

from .heartbeat import PageWriter

LOOKS_S = 1.0


class PageRepair:
    """Looks after the files of one rank in the heartbeat directory, at most once a second."""

    __slots__ = ("_look_at", "_page", "_stacks", "_stacks_fd")

    def __init__(self, page: PageWriter, stacks: Path | None) -> None:
        """Put the stacks file there; the page is there already. Raises OSError."""
        self._page = page
        self._stacks = stacks
        self._stacks_fd = -1
        self._look_at = monotonic() + LOOKS_S
        self._arm_stacks()

    def look(self) -> None:
        """Put back what was taken away; one system call a second, and none without a page."""
        if monotonic() < self._look_at:
            return
        self._look_at = monotonic() + LOOKS_S
        try:
            if self._page.look():
                self._arm_stacks()
        except OSError:
            return  # no directory again yet, or a full tmpfs: the next look is a second later

    def _arm_stacks(self) -> None:
        """On SIGUSR2 write all threads' stacks there, unless the script uses that signal itself."""
        if self._stacks is None or self._page.is_bystander:
            return  # the stacks file is the page owner's
        if signal.getsignal(signal.SIGUSR2) is not signal.SIG_DFL:
            return
        # Opened now and kept: the handler of a hung process can open nothing.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(self._stacks, flags, 0o600)
        faulthandler.register(signal.SIGUSR2, file=fd, all_threads=True, chain=False)
        if self._stacks_fd >= 0:
            os.close(self._stacks_fd)
        self._stacks_fd = fd
        self._page.show_stacks_armed()
