"""Has a child process take an attempt's record: a dead file server must not stall the daemon."""

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.daemon.look.asked_child import IS_LOST, AskedChild, NoAnswer
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
        self._child = AskedChild(DEADLINE_S)

    @property
    def is_asked(self) -> bool:
        """Whether an answer is waited for."""
        return self._child.is_asked

    def ask(self, question: Mapping[str, Any], now: float) -> Compared | None:
        """Begin; returns the answer at once where no child can be started."""
        if self._child.is_lost:
            return Compared(problem=IS_LOST)
        body = json.dumps(question).encode()
        if len(body) > _MOST_BYTES:
            return Compared(problem="the command is too long")
        try:
            self._start(body, now)
        except OSError as error:
            return Compared(problem=str(error))
        return None

    def _start(self, body: bytes, now: float) -> None:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            # Written before there is a reader, so that the daemon never waits for one. A user with
            # many pipes gets small ones (pipe(7)).
            os.set_blocking(writing, False)
            if os.write(writing, body) < len(body):
                raise BlockingIOError(errno.EAGAIN, "the pipe is too small")
            self._child.start(["-S", str(self._program)], now, reading)
        finally:
            os.close(reading)
            os.close(writing)

    def poll(self, now: float) -> Compared | None:
        """The answer; None while there is none. It is a problem after the deadline."""
        found = self._child.poll(now, _compared)
        return Compared(problem=found.why) if isinstance(found, NoAnswer) else found

    def cancel(self) -> None:
        """Kill the child, and drop its answer."""
        self._child.cancel()


def _compared(told: Any) -> Compared:
    return Compared(tuple(map(_change, told["changes"])), int(told["more"]))


def _change(said: object) -> Change:
    """A difference as the child tells it, perhaps one of another version. Raises ValueError."""
    match said:
        case [str(kind), str(what), None | str() as before, None | str() as after, edited] if (
            edited is None or isinstance(edited, int | float)
        ):
            return Change(kind, what, before, after, edited)
    raise ValueError(said)
