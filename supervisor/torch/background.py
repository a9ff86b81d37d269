"""Threads in torch's code. The interpreter must not end before them: it would abort.

A thread that comes back from torch's code while Python is finalized is ended there, and C++ makes
`terminate called without an active exception` of that: exit code 1 or 75 becomes SIGABRT
(https://github.com/pytorch/pytorch/issues/38228).
"""

import atexit
import threading
from collections.abc import Callable

# Longer than a slow disk or device takes; one that hangs must not hold up an end for long.
_END_S = 10.0


class BackgroundThread(threading.Thread):
    """A thread for which the end of the process waits, for a limited time."""

    def __init__(self, name: str, work: Callable[[], None], stop: Callable[[], None]) -> None:
        """`stop` asks `work` to come to an end."""
        super().__init__(name=name, daemon=True)
        self._work = work
        self._stop_work = stop

    def start(self) -> None:
        """Raises RuntimeError if no thread can be started."""
        atexit.register(self._end)
        try:
            super().start()
        except RuntimeError:
            atexit.unregister(self._end)
            raise

    def run(self) -> None:
        """Do the work."""
        try:
            self._work()
        finally:
            atexit.unregister(self._end)

    def _end(self) -> None:
        self._stop_work()
        if self.is_alive():
            self.join(_END_S)
