"""Low priority while importing. It ends, without privilege, before the process says "parked".

A raised nice value, and SCHED_IDLE, cannot be undone under RLIMIT_NICE 0 (sched(7)); SCHED_BATCH
and an autogroup's nice value can.
"""

from __future__ import annotations

import errno
import os
import time

_SCORE = "/proc/self/oom_score_adj"
_AUTOGROUP = "/proc/self/autogroup"
_MOST_EXPENDABLE = 1000
# Unprivileged processes may, all together, write an autogroup's nice value once in 100 ms.
_AUTOGROUP_TRIES, _AUTOGROUP_PAUSE_S = 50, 0.06


def _may_leave_idle() -> bool:
    """Tell whether SCHED_IDLE can be left. A child tries it, since there may be no way back."""
    pid = os.fork()
    if pid == 0:
        try:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
            os._exit(0)
        except OSError:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def _set_autogroup(nice: int, tries: int) -> bool:
    for _ in range(tries):
        try:
            fd = os.open(_AUTOGROUP, os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            os.write(fd, b"%d" % nice)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EINTR):
                return False
        else:
            return True
        finally:
            os.close(fd)
        time.sleep(_AUTOGROUP_PAUSE_S)
    return False


class LowPriority:
    """Low priority until `end`, and until `forgive` the first to be killed for memory.

    Only the policy SCHED_OTHER is changed: another one was the user's wish.
    """

    def __init__(self) -> None:
        self._had_autogroup = False
        self._policy = os.sched_getscheduler(0)
        self.name = "as it was"
        if self._policy == os.SCHED_OTHER:
            if _may_leave_idle():
                self.name = "SCHED_IDLE"
                os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            else:
                self.name = "SCHED_BATCH"
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
                # It counts for a whole session: the launcher made one for this process.
                if os.getsid(0) == os.getpid() and _set_autogroup(19, 2):
                    self._had_autogroup = True
                    self.name += ", autogroup nice 19"
        self._score = _swap_score(_MOST_EXPENDABLE)

    def end(self) -> None:
        """Give all threads their priority back, also those that libraries have started."""
        if self._had_autogroup:
            _set_autogroup(0, _AUTOGROUP_TRIES)
        if self._policy != os.SCHED_OTHER:
            return
        for thread in os.listdir("/proc/self/task"):
            try:
                if os.sched_getscheduler(int(thread)) in (os.SCHED_IDLE, os.SCHED_BATCH):
                    os.sched_setscheduler(int(thread), os.SCHED_OTHER, os.sched_param(0))
            except ProcessLookupError:
                continue  # it has ended

    def forgive(self) -> None:
        """No longer be the first that the kernel kills for memory."""
        if self._score is not None:
            _swap_score(self._score)


def _swap_score(score: int) -> int | None:
    """Set oom_score_adj and return what it was; None where /proc is read-only."""
    try:
        with open(_SCORE, encoding="ascii") as file:
            before = int(file.read())
        with open(_SCORE, "w", encoding="ascii") as file:
            file.write(str(score))
    except OSError:
        return None
    return before
