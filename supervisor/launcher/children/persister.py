"""The process that copies snapshots to the disk: started on the daemon's word, never waited for.

It outlives the trainer and the daemon. It learns of the launcher's death by the end of its stdin.
"""

from __future__ import annotations

import os
import time

from supervisor.launcher.children.backoff import Respawn
from supervisor.launcher.children.spawn import Program, spawn
from supervisor.launcher.console import say
from supervisor.memory.persister_process import IGNORED, command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from supervisor.launcher.messages import PersisterOrder

# How long it may take to finish its pending copies once no persister is wanted any more.
PATIENCE_S = 30.0
# If its directory is gone (RemoveIPC), there is nothing to do until a process makes it again.
LOOK_AGAIN_S = 1.0
# It yields to the trainer's threads, yet gets a quarter of a core of which they want all.
NICE = "5"


class PersisterLink:
    """One persister after another, and the pipe whose end tells the last one to finish."""

    def __init__(self, argv: Sequence[str] | None = None) -> None:
        """`argv` replaces the program in tests; the directory is appended to it."""
        self.pid = 0
        self._argv = argv
        self.give_up_at = float("inf")
        self._directory: str | None = None
        self._pipe = -1
        self._respawn = Respawn()

    def obey(self, order: PersisterOrder, *, is_ending: bool) -> None:
        """Do what the daemon orders; once the launcher ends, no other persister begins."""
        if order.directory is None:
            self.order(None, PATIENCE_S if order.patience_s is None else order.patience_s)
        elif not is_ending:
            self.order(order.directory)

    def order(self, directory: str | None, patience_s: float = PATIENCE_S) -> None:
        """Want a persister for a snapshot directory from now on; None: the present one may finish.

        Nothing happens if a persister for the directory lives already. If its next start was put
        off, it is started now. A persister that may finish is killed `patience_s` later, at
        `give_up_at`, but not before the launcher ends.
        """
        if directory != self._directory:
            self._let_go()
            self._respawn = Respawn()
            self.give_up_at = float("inf")
        self._directory = directory
        if directory is None:
            self.give_up_at = min(self.give_up_at, time.monotonic() + patience_s)
        elif self.pid == 0:
            self._respawn.at = time.monotonic()

    def deadline(self) -> float | None:
        """Return the monotonic time at which `advance` has something to do, None for never."""
        return self._respawn.at if self.pid == 0 else None

    def advance(self) -> None:
        """Start one if that is due. Raises OSError when there can be no process now."""
        now = time.monotonic()
        if self.pid or self._directory is None or not self._respawn.is_due(now):
            return
        if not os.path.isdir(self._directory):
            self._respawn.at = now + LOOK_AGAIN_S
            return
        self._respawn.put_off(now)
        self._start(self._directory)

    def _start(self, directory: str) -> None:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        argv = command(directory, "--nice", NICE)
        if self._argv is not None:
            argv = [*self._argv, directory]
        # It ignores these signals from its fork on, before its own first line runs.
        program = Program(argv, dict(os.environ), stdin_fd=reading, ignored=IGNORED)
        try:
            spawned = spawn(program)
        except OSError:
            os.close(writing)
            raise
        finally:
            os.close(reading)
        # A failed exec shows in the exit status; nothing waits for the report.
        os.close(spawned.report_fd)
        self._let_go()
        self._pipe = writing
        self.pid = spawned.pid
        self._respawn.started(time.monotonic())

    def on_reaped(self, status: int) -> None:
        """Note its end, and when to start the next."""
        self._let_go()
        self.pid = 0
        if self._directory is None:
            return
        pause_s = self._respawn.ended(time.monotonic())
        code = os.waitstatus_to_exitcode(status)
        if code != 0:
            how = f"exited with {code}" if code > 0 else f"was ended by signal {-code}"
            say(f"the persister {how}; starting it again in {pause_s:g} s")

    def _let_go(self) -> None:
        """Close the pipe: the persister finishes its pending copies and ends."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
