"""System calls that Python may have been built without: conda and uv build theirs for an old glibc.

Stdlib only and light: the launcher and trainers import it. ctypes is loaded where it is needed.
"""

from __future__ import annotations

import errno
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# <asm/unistd.h>. The first two have one number wherever Linux numbers are shared (since 5.1).
_PIDFD_OPEN, _PIDFD_SEND_SIGNAL = 434, 424
_MEMFD_CREATE = {"x86_64": 319, "aarch64": 279, "riscv64": 279, "ppc64le": 360, "s390x": 350}
_MFD_CLOEXEC = 1

_libc: list[Any] = []


def open_pidfd(pid: int) -> int:
    """Return a descriptor of the process that has this pid now, close-on-exec: pidfd_open(2).

    Raises ProcessLookupError if there is none, and another OSError (ENOSYS, EPERM) where the
    kernel or a sandbox refuses the call.
    """
    if hasattr(os, "pidfd_open"):
        return os.pidfd_open(pid)
    return _call(_PIDFD_OPEN, pid, 0)


def signal_pidfd(pidfd: int, signum: int) -> None:
    """Signal the process of a descriptor: pidfd_send_signal(2). Raises OSError."""
    if hasattr(signal, "pidfd_send_signal"):
        signal.pidfd_send_signal(pidfd, signum)
    else:
        _call(_PIDFD_SEND_SIGNAL, pidfd, signum, 0, 0)


def memory_file(name: str) -> int:
    """Return a file in memory, close-on-exec: memfd_create(2). Raises OSError."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name)
    number = _MEMFD_CREATE.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), "memfd_create")
    return _call(number, os.fsencode(name), _MFD_CLOEXEC)


def _call(number: int, *arguments: int | bytes) -> int:
    if os.uname().machine not in _MEMFD_CREATE or sys.maxsize < 1 << 32:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    try:
        import ctypes

        if not _libc:
            _libc.append(ctypes.CDLL(None, use_errno=True))
            _libc[0].syscall.restype = ctypes.c_long
    except (ImportError, OSError):  # built without libffi, or linked statically
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
    words = [a if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments]
    result = int(_libc[0].syscall(ctypes.c_long(number), *words))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
