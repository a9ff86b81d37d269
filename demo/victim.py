"""The trainer process that is hit: freeze it, look at it, and only then kill it.

The state of a running process may change before a signal arrives. The state of a stopped process is
the state in which it dies.
"""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from supervisor.worker.heartbeat import Page
from supervisor.worker.page_reading import read_pages
from supervisor.worker.system_call import open_pidfd, signal_pidfd

FREEZE_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Victim:
    """The main process of one attempt, held by pidfd, so that a recycled pid is never hit."""

    pid: int
    pidfd: int
    attempt: int
    heartbeats: Path

    @classmethod
    def of_attempt(cls, pid: int, attempt: int) -> "Victim":
        """Hold the process. Raises ProcessLookupError if it is gone or not this attempt's."""
        pidfd = open_pidfd(pid)
        text = Path(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "replace")
        environment = dict(entry.partition("=")[::2] for entry in text.split("\0"))
        if environment.get("SUPERVISOR_ATTEMPT") != str(attempt):
            os.close(pidfd)
            raise ProcessLookupError(f"pid {pid} is not attempt {attempt}")
        return cls(pid, pidfd, attempt, Path(environment["SUPERVISOR_HEARTBEAT"]))

    def page(self) -> Page | None:
        """The heartbeat page of the attempt's first rank; None before that rank has attached."""
        pages = read_pages(self.heartbeats)
        return pages[0] if pages else None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this very process. Raises ProcessLookupError."""
        signal_pidfd(self.pidfd, number)

    def freeze(self) -> None:
        """Stop the process and wait until the kernel shows it stopped.

        Raises ProcessLookupError, TimeoutError.
        """
        self.send(signal.SIGSTOP)
        deadline = time.monotonic() + FREEZE_TIMEOUT_S
        while self._state() != "T":
            if time.monotonic() > deadline:
                raise TimeoutError(f"pid {self.pid} does not stop")
            time.sleep(0.0002)

    def _state(self) -> str:
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except FileNotFoundError:
            raise ProcessLookupError(f"pid {self.pid} is gone") from None
        return stat.rpartition(")")[2].split()[0]

    def kill_if(self, seen: Callable[[], bool]) -> bool:
        """Freeze the process and call `seen`: SIGKILL if it holds, else SIGCONT."""
        self.freeze()
        if seen():
            self.send(signal.SIGKILL)
            return True
        self.send(signal.SIGCONT)
        return False
