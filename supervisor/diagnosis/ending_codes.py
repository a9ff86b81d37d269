"""What an exit code, a signal or a failed start says by itself; it must not look at the log."""

import errno
import os
import signal as signals
from typing import NamedTuple

from supervisor.core.vocabulary import Action, ExitCode, Failure

# A shell reports a child's death by signal N as 128 + N.
_SHELL_SIGNAL_BASE = 128

_WRONG_COMMAND = frozenset(
    {
        errno.ENOENT,
        errno.EACCES,
        errno.ENOTDIR,
        errno.ENOEXEC,
        errno.EISDIR,
        errno.ELOOP,
        errno.EPERM,
    }
)
_WANT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
_WANT_OF_MEMORY = frozenset({errno.ENOMEM, errno.EAGAIN})
_BROKEN_STORAGE = frozenset({errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EROFS})

_BY_SIGNAL = {
    signals.SIGKILL: Failure.KILLED,
    signals.SIGSEGV: Failure.SEGFAULT,
    signals.SIGBUS: Failure.SEGFAULT,
    signals.SIGABRT: Failure.ABORTED,
    signals.SIGILL: Failure.ABORTED,
    signals.SIGFPE: Failure.ABORTED,
    signals.SIGTRAP: Failure.ABORTED,
    signals.SIGSYS: Failure.ABORTED,
    signals.SIGINT: Failure.STOPPED_BY_USER,
}


class ExitMeaning(NamedTuple):
    """A failure, an action, and one sentence."""

    failure: Failure
    action: Action
    reason: str


def from_code(code: int | None) -> ExitMeaning | None:
    """What an exit code says for certain; None where the log has to be asked.

    75 means a restart at once. The caller knows whether a stop was requested, and then overrules.
    """
    match code:
        case 0:
            return ExitMeaning(Failure.COMPLETED, Action.NONE, "it finished with exit code 0")
        case ExitCode.PREEMPTED:
            return ExitMeaning(
                Failure.PREEMPTED, Action.RESTART, "it saved and stopped (exit code 75)"
            )
        case ExitCode.CONFIGURATION:
            reason = "it says that its configuration is wrong (exit code 78)"
            return ExitMeaning(Failure.CONFIGURATION, Action.HOLD, reason)
        case _:
            return None


def signal_of(code: int | None, signal: int | None) -> int | None:
    """The signal that ended a process, also from a shell's exit code (128 + the signal)."""
    if signal is not None:
        return signal
    if code is not None and _SHELL_SIGNAL_BASE < code <= _SHELL_SIGNAL_BASE + 64:
        candidate = code - _SHELL_SIGNAL_BASE
        return candidate if candidate in _BY_SIGNAL or candidate == signals.SIGTERM else None
    return None


def from_signal(signal: int) -> ExitMeaning:
    """The meaning of a death by a signal where nothing else explains it."""
    failure = None
    try:
        known = signals.Signals(signal)
        name, failure = known.name, _BY_SIGNAL.get(known)
    except ValueError:
        name = f"signal {signal}"
    if failure is Failure.KILLED:
        reason = "it was killed (SIGKILL), and there is no evidence of why"
    else:
        reason = f"it was ended by {name}, and its log names no cause"
    if failure is Failure.STOPPED_BY_USER:
        return ExitMeaning(failure, Action.NONE, f"it was interrupted ({name})")
    return ExitMeaning(failure or Failure.UNKNOWN, Action.RESTART, reason)


def start_failure(number: int) -> ExitMeaning:
    """Why a command could not be started at all, by the errno of the attempt."""
    said = f"it could not be started: {os.strerror(number)}"
    if number in _WRONG_COMMAND:
        return ExitMeaning(Failure.CONFIGURATION, Action.HOLD, said)
    if number in _WANT_OF_DESCRIPTORS:
        return ExitMeaning(Failure.TOO_MANY_OPEN_FILES, Action.BACKOFF, said)
    if number in _WANT_OF_MEMORY:
        return ExitMeaning(Failure.HOST_OUT_OF_MEMORY, Action.BACKOFF, said)
    if number in _BROKEN_STORAGE:
        return ExitMeaning(Failure.FILESYSTEM, Action.BACKOFF, said)
    return ExitMeaning(Failure.UNKNOWN, Action.BACKOFF, said)
