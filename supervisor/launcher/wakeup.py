"""Signals as bytes in a pipe: none is lost between looking and sleeping. It acts on none."""

from __future__ import annotations

import os
import signal

# The names under which the daemon is told of them. SIGCHLD only wakes.
REPORTED = {
    signal.SIGTERM: "TERM",
    signal.SIGINT: "INT",
    signal.SIGUSR1: "USR1",
    signal.SIGUSR2: "USR2",
    signal.SIGHUP: "HUP",
    signal.SIGCONT: "CONT",
}


def _only_wake(number: int, frame: object) -> None:
    """Do nothing: the interpreter has already written the number into the wake-up pipe."""


class Wakeup:
    """The read end `fd` turns readable when a signal has arrived."""

    def __init__(self) -> None:
        self.fd, self._write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def install(self) -> None:
        """Take over the signals of this process, whatever it inherited (nohup, a blocked mask)."""
        signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, *REPORTED):
            signal.signal(number, _only_wake)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def drain(self) -> list[int]:
        """Return the signals received since the last call, in their order, SIGCHLD left out."""
        received: list[int] = []
        while True:
            try:
                data = os.read(self.fd, 4096)
            except BlockingIOError:
                return received
            received += [number for number in data if number in REPORTED]
