"""How an attempt's main process ended, and when to kill what it has left: mostly at once.

What is left by one that exited with 0 may still train (`nohup python train.py &`): it waits for the
daemon's word. It kills nothing.
"""

from __future__ import annotations

import os
import signal
import time

from supervisor.launcher.messages import LeftEnd, MainExitedReport

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
# A signal to a whole job (systemd, scancel --full) may end `bash` before the launcher's own copy
# has come back to it as a stop: its ranks, who are saving, are not leftovers yet.
STOP_MAY_COME_S = 0.25
STOP_IS_COMING_S = 5.0
_MOST_ENDS = 64


def ending_of(attempt: int, status: int, word_s: float = 0.0) -> MainExitedReport:
    """Return what is told of the end of a main process that was reaped just now.

    `word_s`: how long the daemon is asked what becomes of what is left.
    """
    code, number = _outcome(status)
    return MainExitedReport(
        attempt=attempt,
        code=code,
        awaits_word=word_s > 0 and code == 0,
        signal=number,
        core_dumped=os.WCOREDUMP(status),
        monotonic=time.monotonic(),
    )


def _outcome(status: int) -> tuple[int | None, int | None]:
    """Return the exit code, or the signal, of a wait status."""
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
    return code, os.WTERMSIG(status) if os.WIFSIGNALED(status) else None


class Leftovers:
    """What a main process has left, as far as time and ends go.

    `word_s`: how long the daemon's word on it is waited for, 0 where the daemon gives none.
    `kill_at`: when it is killed, monotonic seconds; None for nothing decided. `ended`: how those of
    it ended that ended by themselves.
    """

    __slots__ = ("ended", "kill_at", "word_s")

    def __init__(self, word_s: float) -> None:
        self.word_s = word_s
        self.kill_at: float | None = None
        self.ended: list[LeftEnd] = []

    def note_end(self, pid: int, status: int, killing_since: float | None) -> None:
        """Keep how one of them ended, if not by our kill; the daemon knows which trained."""
        if killing_since is not None:
            return
        del self.ended[: -_MOST_ENDS + 1]
        code, number = _outcome(status)
        self.ended.append(LeftEnd(pid=pid, code=code, signal=number))

    def keep(self, for_s: float) -> None:
        """Let it live so long from now: the daemon's word, which it renews."""
        self.kill_at = time.monotonic() + for_s

    def expect_stop(self) -> None:
        """Wait a little longer: a stop is on its way."""
        if self.kill_at is not None:
            self.kill_at = max(self.kill_at, time.monotonic() + STOP_IS_COMING_S)

    def earlier(self, at: float | None) -> float | None:
        """Return the earlier of `at` and of when it is killed, None for never."""
        due = [one for one in (self.kill_at, at) if one is not None]
        return min(due, default=None)

    def is_due(self, now: float) -> bool:
        """Tell once whether it is to be killed now."""
        if self.kill_at is None or now < self.kill_at:
            return False
        self.forget()
        return True

    def forget(self) -> None:
        """Wait for nothing any more: it is being stopped, or killed."""
        self.kill_at = None

    def may_live(self, ending: MainExitedReport, stop_signal_at: float) -> bool:
        """Tell whether it is left alone for now; False to kill it at once."""
        if self.kill_at is None:
            self.kill_at = kill_at(ending, stop_signal_at, self.word_s)
        return self.kill_at is not None


def kill_at(ending: MainExitedReport, stop_signal_at: float, word_s: float = 0.0) -> float | None:
    """Return when to kill what it has left, monotonic seconds; None for at once.

    `stop_signal_at`: when the launcher was last sent a stop. `word_s`: as in `Leftovers`.
    """
    now = time.monotonic()
    due = now
    codes = tuple(128 + number for number in STOP_SIGNALS)
    if ending.signal in STOP_SIGNALS or ending.code in codes:
        due = now + STOP_MAY_COME_S
    if ending.code == 0:
        due = now + word_s
    due = max(due, stop_signal_at + STOP_IS_COMING_S)
    return due if due > now else None
