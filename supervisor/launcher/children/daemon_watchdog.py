"""Whether the daemon's deciding loop still turns, and what systemd hears while there is no daemon.

A frozen daemon is replaced long before systemd's WatchdogSec= would end the whole unit.
"""

from __future__ import annotations

import time

from supervisor.system import sd_notify

LONGEST_SILENCE_S = 60.0
# While a daemon keeps dying (a broken upgrade) or hangs in the kernel on a dead disk, the launcher
# answers systemd's watchdog, every WatchdogSec= divided by this. Training goes on meanwhile, and
# systemd must not end it for the want of a daemon.
SPOKEN_FOR_EVERY = 4
# A launcher that wakes this late was stopped itself (SIGSTOP, a frozen container), and the daemon
# with it. The daemon's time then begins anew.
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
        """Wait without a limit for the first sign of life of a daemon that was just started."""
        self._heard_at = self._speak_at = None

    def heard(self) -> None:
        """Note that the daemon's loop has turned."""
        self._heard_at = time.monotonic()
        self._speak_at = None

    def lost(self, why: str) -> None:
        """Note that the daemon is gone or being replaced, and tell systemd so in its place."""
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
        """Tell once that the daemon has been silent too long; answer systemd for a lost daemon."""
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
