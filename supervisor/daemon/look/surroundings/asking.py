"""Has a child process take an attempt's record: a dead file server must not stall the daemon."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.daemon.look.surroundings.comparing import Change

DEADLINE_S = 30.0
# A pipe of Linux takes 64 KiB without a reader.
_MOST_BYTES = 60_000
_PROGRAM = Path(__file__).with_name("child.py")


@dataclass(frozen=True, slots=True)
class Compared:
    """What is different from the last good attempt; `problem`: why that is not known."""

    changes: tuple[Change, ...] = ()
    more: int = 0
    """How many differences are not listed."""
    problem: str | None = None


class SurroundingsChild:
    """At most one child process at a time."""

    def __init__(self, program: Path = _PROGRAM) -> None:
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._lost: list[subprocess.Popen[bytes]] = []
        self._until = 0.0

    @property
    def is_asked(self) -> bool:
        """Whether an answer is waited for."""
        return self._process is not None

    def ask(self, question: Mapping[str, Any], now: float) -> Compared | None:
        """Begin; returns the answer at once where no child can be started."""
        self._lost = [process for process in self._lost if process.poll() is None]
        if self._lost:
            # On a dead disk not even SIGKILL ends it: no second one is started beside it.
            return Compared(problem="an earlier look has not ended")
        body = json.dumps(question).encode()
        if len(body) > _MOST_BYTES:
            return Compared(problem="the command is too long")
        try:
            self._process = self._start(body)
        except OSError as error:
            return Compared(problem=str(error))
        self._until = now + DEADLINE_S
        return None

    def _start(self, body: bytes) -> "subprocess.Popen[bytes]":
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            # Written before there is a reader, so that the daemon never waits for one. A user with
            # many pipes gets small ones (pipe(7)).
            os.set_blocking(writing, False)
            if os.write(writing, body) < len(body):
                raise BlockingIOError(errno.EAGAIN, "the pipe is too small")
            return subprocess.Popen(
                [sys.executable, "-P", "-S", str(self._program)],
                stdin=reading,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        finally:
            os.close(reading)
            os.close(writing)

    def poll(self, now: float) -> Compared | None:
        """The answer; None while there is none. It is a problem after the deadline."""
        process = self._process
        if process is None:
            return None
        if process.poll() is None:
            if now < self._until:
                return None
            self.cancel()
            return Compared(problem=f"no answer within {DEADLINE_S:.0f} s")
        self._process = None
        said, complaint = process.communicate()
        try:
            told = json.loads(said)
            changes = tuple(map(_change, told["changes"]))
            return Compared(changes, int(told["more"]))
        except (ValueError, KeyError, TypeError):
            lines = complaint.decode(errors="replace").strip().splitlines()
            return Compared(problem=lines[-1] if lines else f"exit code {process.returncode}")

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


def _change(said: object) -> Change:
    """A difference as the child tells it, perhaps one of another version. Raises ValueError."""
    match said:
        case [str(kind), str(what), None | str() as before, None | str() as after, edited] if (
            edited is None or isinstance(edited, int | float)
        ):
            return Change(kind, what, before, after, edited)
    raise ValueError(said)
