"""A real persister process whose system calls are struck, from the ring of its bell on."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from supervisor.memory.persister_process import command
from supervisor.memory.persister_status import PersisterRecord, read_board
from supervisor.memory.slots import wake
from tests.chaos.injection import Strike, Tracer

_WAIT_S = 45.0


class Service:
    """One persister, idle after the constructor."""

    def __init__(self, root: Path, log: Path, *options: str, **environment: str) -> None:
        self._root = root
        self._log = log
        self._tracer: Tracer | None = None
        self._process = subprocess.Popen(
            command(root, "--nice", "0", *options),
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        )
        self.wait(lambda: self._is_at_rest(0) and self._sleeps())
        self._started_ns = time.time_ns()

    def strike(self, strike: Strike | None) -> None:
        """Trace it: inject a fault at a later call, or only count its calls."""
        self._tracer = Tracer(self._process.pid, self._log, strike)

    def ring(self) -> None:
        """Ring the bell: a snapshot is there."""
        wake(self._root)

    def wait_for_result(self, count: int = 1, *, patience_s: float | None = None) -> bool:
        """Wait until so many persists have ended, at most `patience_s`; False if it died."""
        until = time.monotonic() + (_WAIT_S if patience_s is None else patience_s)
        self.wait(
            lambda: (
                self.is_dead
                or self._is_at_rest(count)
                or (patience_s is not None and time.monotonic() > until)
            )
        )
        return not self.is_dead

    @property
    def pid(self) -> int:
        """Its pid."""
        return self._process.pid

    @property
    def is_dead(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    @property
    def board(self) -> PersisterRecord | None:
        """The board, if it is this persister's."""
        board = read_board(self._root)
        return board if board is not None and board.pid == self._process.pid else None

    def end(self) -> tuple[int, str]:
        """Tell it to finish; its exit code (negative for a signal), and its error output."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(_WAIT_S)
        assert self._process.stderr is not None
        said = self._process.stderr.read()
        self._process.stderr.close()
        return self._process.returncode, said

    def let_go(self) -> Tracer:
        """Stop tracing; the tracer, with what it saw."""
        assert self._tracer is not None
        self._tracer.close()
        return self._tracer

    def kill(self) -> None:
        """Kill the process, whatever failed before."""
        if not self.is_dead:
            self._process.kill()
            self.end()

    def wait(self, condition: Callable[[], Any]) -> Any:
        """Wait until a condition is true; its value."""
        deadline = time.monotonic() + _WAIT_S
        while not (found := condition()):
            assert time.monotonic() < deadline, f"it did not come to be: {self.board}"
            time.sleep(0.002)
        return found

    def _is_at_rest(self, count: int) -> bool:
        board = self.board
        return board is not None and board.state == "idle" and len(board.results) >= count

    def has_tried(self, place: Path) -> bool:
        """Whether it has changed a directory since its start, and sleeps."""
        return place.stat().st_mtime_ns > self._started_ns and self._sleeps()

    def _sleeps(self) -> bool:
        # The board shows idle before the persister looks once more and sleeps.
        return (
            Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"
        )
