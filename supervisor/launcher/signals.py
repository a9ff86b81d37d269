"""The signals that the launcher catches, and those that it reports to the daemon."""

from __future__ import annotations

import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from supervisor.system.self_pipe import SelfPipe

# The names under which the daemon is told of them. SIGCHLD only wakes the loop.
REPORTED = {
    signal.SIGTERM: "TERM",
    signal.SIGINT: "INT",
    signal.SIGUSR1: "USR1",
    signal.SIGUSR2: "USR2",
    signal.SIGHUP: "HUP",
    signal.SIGCONT: "CONT",
}


def take_over(pipe: SelfPipe) -> None:
    """Catch this process's signals in the pipe, whatever it inherited (nohup, a blocked mask)."""
    pipe.catch((signal.SIGCHLD, *REPORTED))
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
