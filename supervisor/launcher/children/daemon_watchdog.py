"""Whether the daemon's deciding loop still turns; and what systemd hears while none does.

A frozen daemon is replaced long before systemd's WatchdogSec= would end the whole of it.
"""

from __future__ import annotations

import time

from supervisor.system import sd_notify

LONGEST_SILENCE_S = 60.0
# A daemon that dies again and again (a broken upgrade), or hangs in the kernel on a dead disk, is
# being dealt with, and training goes on: systemd must not end that for the want of a daemon.
SPOKEN_FOR_EVERY = 4
# Waking this late, the launcher was stopped itself (SIGSTOP, a frozen container), and the daemon
# with it: it gets its time again.
LATE_S = 2.0


class DaemonWatchdog:
    """The signs of life of one daemon after another."""

    def __init__(self) -> None:
        watchdog_s = sd_notify.watchdog_s()
        self.limit_s = min(LONGEST_SILENCE_S, (watchdog_s or LONGEST_SILENCE_S * 3) / 3)
        self._every_s = None if watchdog_s is None else watchdog_s / SPOKEN_FOR_EVERY
        self._heard_at: float | None = None
        self._speak_at: float | None = None
        self._why = ""

    def begin(self) -> None:
        """Wait, as long as it takes, for the first sign of a daemon that was just started."""
        self._heard_at = self._speak_at = None

    def heard(self) -> None:
        """Note that the daemon's loop has turned."""
        self._heard_at = time.monotonic()
        self._speak_at = None

    def lost(self, why: str) -> None:
        """Note that there is none, or that it is being replaced, and say so instead of it."""
        self._heard_at = None
        self._why = why
        sd_notify.notify(f"STATUS={why}", "WATCHDOG=1")
        if self._every_s is not None:
            self._speak_at = time.monotonic() + self._every_s

    def deadline(self) -> float | None:
        """Return the monotonic time at which there is something to do, None for never."""
        if self._heard_at is None:
            return self._speak_at
        return self._heard_at + self.limit_s

    def is_silent(self) -> bool:
        """Tell, once, that the daemon has been silent for too long; speaks for a lost one."""
        now = time.monotonic()
        if self._heard_at is None:
            if self._speak_at is not None and now >= self._speak_at:
                self.lost(self._why)
            return False
        late_s = now - self._heard_at - self.limit_s
        if late_s < 0:
            return False
        if late_s > LATE_S:
            self._heard_at = now
            return False
        self._heard_at = None
        return True
