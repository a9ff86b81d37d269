"""Times the copy of a state into a slot, and can kill it at a chosen moment.

The copy makes no system call, so strace cannot strike in it. A POSIX timer can: the kernel delivers
its SIGKILL so many nanoseconds after the copy began.
"""

import ctypes
import signal
import time
from typing import Any

import torch

_CLOCK_MONOTONIC = 1
_SIGEVENT_BYTES = 64
_libc = ctypes.CDLL(None, use_errno=True)


class _Event(ctypes.Structure):
    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("rest", ctypes.c_byte * (_SIGEVENT_BYTES - 16)),
    )


class _Times(ctypes.Structure):
    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class Stopwatch:
    """Wraps all later copies of this process."""

    def __init__(self) -> None:
        self.copies_ns: list[int] = []
        self._real = torch._foreach_copy_
        self._kill_after_ns: int | None = None
        self._timer = ctypes.c_void_p()
        event = _Event(signo=signal.SIGKILL, notify=0)
        made = _libc.timer_create(_CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(self._timer))
        assert made == 0, f"timer_create: errno {ctypes.get_errno()}"
        torch._foreach_copy_ = self._copy

    def kill_after(self, nanoseconds: int) -> None:
        """Kill this process so long after the next copy has begun."""
        self._kill_after_ns = max(1, nanoseconds)

    def _copy(self, views: Any, sources: Any) -> None:
        times = None
        if self._kill_after_ns is not None:
            times = _Times(0, 0, *divmod(self._kill_after_ns, 10**9))
        began_ns = time.perf_counter_ns()
        if times is not None:
            _libc.timer_settime(self._timer, 0, ctypes.byref(times), None)
        self._real(views, sources)
        self.copies_ns.append(time.perf_counter_ns() - began_ns)
