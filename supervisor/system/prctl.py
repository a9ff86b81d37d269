"""The two prctl(2) calls that keep a run's processes together; it knows nothing of runs."""

from __future__ import annotations

import ctypes
import os

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

# Loaded at import so that a child between fork and exec need not load anything.
_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "prctl")


def become_subreaper() -> None:
    """Make orphaned descendants our children: PR_SET_CHILD_SUBREAPER. Raises OSError."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(signum: int, parent_pid: int) -> None:
    """Have the kernel send `signum` when the parent ends; exits at once if it already has.

    PR_SET_PDEATHSIG survives execve(2), except of a set-user-ID program. Raises OSError.
    """
    _prctl(_PR_SET_PDEATHSIG, signum)
    if os.getppid() != parent_pid:
        os._exit(128 + signum)
