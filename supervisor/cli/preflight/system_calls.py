"""Whether two system calls work here: pidfds to signal with, and memory files to keep output in.

A Python for an old glibc (conda's, uv's) has no function for them. A kernel or a sandbox may refuse
them.
"""

import errno
import os
import signal
from collections.abc import Callable, Iterator

from supervisor.cli.preflight.finding import Finding, Level
from supervisor.worker import system_call


def findings() -> Iterator[Finding]:
    """How signals are sent; and how a parked interpreter's output is kept, if not as usual."""
    refusal = _refusal(_signal_nothing)
    if refusal is not None:
        yield Finding(
            "signals", Level.WARN,
            f"pidfd_open is refused here ({refusal}): the supervisor knows a process by its pid and"
            " start time, which it compares right before each signal",
            "use a kernel of 5.3 or newer, and a sandbox that allows pidfd_open and"
            " pidfd_send_signal",
        )  # fmt: skip
    elif _has_functions():
        yield Finding("signals", Level.OK, "each process is held by a pidfd")
    else:
        text = (
            "each process is held by a pidfd, from the system call itself: this Python has no"
            " pidfd_open"
        )
        yield Finding("signals", Level.OK, text)
    refusal = _refusal(_make_memory_file)
    if refusal is not None:
        text = f"memfd_create is refused here ({refusal}): a parked interpreter's output is kept in"
        yield Finding("memory file", Level.OK, f"{text} an unnamed file in /dev/shm")
    elif not hasattr(os, "memfd_create"):
        yield Finding(
            "memory file",
            Level.OK,
            "made by the system call itself: this Python has no memfd_create",
        )


def _has_functions() -> bool:
    return hasattr(os, "pidfd_open") and hasattr(signal, "pidfd_send_signal")


def _refusal(attempt: Callable[[], None]) -> str | None:
    """The name of the error with which a call is refused; None where it works."""
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return None


def _signal_nothing() -> None:
    pidfd = system_call.open_pidfd(os.getpid())
    try:
        system_call.signal_pidfd(pidfd, 0)
    finally:
        os.close(pidfd)


def _make_memory_file() -> None:
    os.close(system_call.memory_file("check"))
