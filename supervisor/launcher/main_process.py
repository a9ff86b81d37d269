"""How an attempt's main process ended, and when to kill its leftovers: mostly at once.

Leftovers are the processes that outlive a main process. If that exited with 0, they may still train
(`nohup python train.py &`), and wait for the daemon's word. This module kills nothing.
"""

from __future__ import annotations

import os
import signal
import time

from supervisor.launcher.messages import LeftEnd, MainExitedReport

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
# systemd and `scancel --full` signal every process of a job. That may end `bash` before the
# launcher's own copy of the signal has led to a stop order. Until then the ranks, which are saving,
# must not be killed as leftovers.
STOP_MAY_COME_S = 0.25
STOP_IS_COMING_S = 5.0
_MOST_ENDS = 64


def ending_of(attempt: int, status: int, word_s: float = 0.0) -> MainExitedReport:
    """Return the report on a main process that was reaped just now.

    `word_s`: how long its leftovers wait for the daemon's word.
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
    """The processes that outlive a main process: how long they may live, and how they ended.

    `word_s`: how long they wait for the daemon's word, 0 if the daemon gives none. `kill_at`: when
    to kill them, monotonic seconds; None while undecided. `ended`: how those ended that the
    launcher did not kill.
    """

    __slots__ = ("ended", "kill_at", "word_s")

    def __init__(self, word_s: float) -> None:
        self.word_s = word_s
        self.kill_at: float | None = None
        self.ended: list[LeftEnd] = []

    def note_end(self, pid: int, status: int, is_ours: bool) -> None:
        """Keep how a leftover ended; the daemon knows which trained.

        `is_ours`: its end is the launcher's doing, or it was a child of a daemon that died.
        """
        if is_ours:
            return
        del self.ended[: -_MOST_ENDS + 1]
        code, number = _outcome(status)
        self.ended.append(LeftEnd(pid=pid, code=code, signal=number))

    def keep(self, for_s: float) -> None:
        """Let them live for `for_s` from now. It is the daemon's word, which it renews."""
        self.kill_at = time.monotonic() + for_s

    def expect_stop(self) -> None:
        """Let them live a little longer: a stop order is on its way."""
        if self.kill_at is not None:
            self.kill_at = max(self.kill_at, time.monotonic() + STOP_IS_COMING_S)

    def earlier(self, at: float | None) -> float | None:
        """Return the earlier of `at` and `kill_at`, None for never."""
        due = [one for one in (self.kill_at, at) if one is not None]
        return min(due, default=None)

    def is_due(self, now: float) -> bool:
        """Tell once that they are to be killed now."""
        if self.kill_at is None or now < self.kill_at:
            return False
        self.forget()
        return True

    def forget(self) -> None:
        """Drop the deadline: they are being stopped, or killed."""
        self.kill_at = None

    def may_live(self, ending: MainExitedReport, stop_signal_at: float) -> bool:
        """Tell whether they may live for now; False: kill them at once."""
        if self.kill_at is None:
            self.kill_at = kill_at(ending, stop_signal_at, self.word_s)
        return self.kill_at is not None


def kill_at(ending: MainExitedReport, stop_signal_at: float, word_s: float = 0.0) -> float | None:
    """Return when to kill the leftovers, monotonic seconds; None for at once.

    `stop_signal_at`: when the launcher last got a stop signal. `word_s`: as in `Leftovers`.
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
