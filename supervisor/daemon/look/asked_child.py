"""One child process at a time that answers a question about disks: a dead disk stalls it alone."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any, TypeVar

T = TypeVar("T")

IS_LOST = "an earlier look has not ended"


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Why there is no answer: `is_late`, or what the child said last."""

    why: str
    is_late: bool = False


class AskedChild:
    """Starts a program, and reads the JSON that it prints; it never waits for the child."""

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._process: subprocess.Popen[bytes] | None = None
        self._lost: list[subprocess.Popen[bytes]] = []
        self._until = 0.0

    @property
    def is_asked(self) -> bool:
        """Whether an answer is waited for."""
        return self._process is not None

    @property
    def is_lost(self) -> bool:
        """Whether a child was given up and lives: no second one may be started beside it.

        On a dead disk not even SIGKILL ends it.
        """
        self._lost = [process for process in self._lost if process.poll() is None]
        return bool(self._lost)

    def start(
        self, words: Sequence[str], now: float, stdin: int | IO[bytes] = subprocess.DEVNULL
    ) -> None:
        """Start Python with these words. Raises OSError."""
        self._process = subprocess.Popen(
            [sys.executable, "-P", *words],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._until = now + self._deadline_s

    def poll(self, now: float, read: Callable[[Any], T]) -> T | NoAnswer | None:
        """The answer, as `read` makes it of the JSON; None while there is none.

        `read` may raise ValueError, KeyError or TypeError. After the deadline the child is killed.
        """
        process = self._process
        if process is None:
            return None
        if process.poll() is None:
            if now < self._until:
                return None
            self.cancel()
            return NoAnswer(f"no answer within {self._deadline_s:.0f} s", is_late=True)
        self._process = None
        said, complaint = process.communicate()
        try:
            return read(json.loads(said))
        except (ValueError, KeyError, TypeError):
            lines = complaint.decode(errors="replace").strip().splitlines()
            return NoAnswer(lines[-1] if lines else f"exit code {process.returncode}")

    def cancel(self) -> None:
        """Kill the child, and drop its answer."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        self._lost.append(process)
