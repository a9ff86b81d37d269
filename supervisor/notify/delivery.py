"""One message on its way: a child process sends it, and sends again what failed.

The addresses go through the child's standard input: neither `ps` nor an environment shows them.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field

from supervisor.notify.message import Message

DEADLINE_S = 30.0
WAITS_S = (10.0, 30.0, 90.0, 270.0, 600.0)
GIVEN_UP_S = 24 * 3600.0
NO_ANSWER = f"no answer within {DEADLINE_S:.0f} s"
_REAP_S = 0.1


@dataclass(slots=True)
class Delivery:
    """A message to those targets that have not taken it; times of CLOCK_MONOTONIC."""

    message: Message
    targets: Sequence[str]
    """As configured: a URL, or `env:NAME`."""
    left: dict[int, str | None]
    """Targets that it has still to reach, by number, each with its last error."""
    keys: tuple[str, ...] = ()
    began: float = 0.0
    tries: int = 0
    due: float = 0.0
    reached: list[int] = field(default_factory=list)
    is_recorded: bool = False
    """Whether the ledger says that it was sent."""
    _child: subprocess.Popen[bytes] | None = None
    _until: float = 0.0
    _read: bytes = b""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be tried."""
        return not self.left and self._child is None

    @property
    def is_sending(self) -> bool:
        """Whether a child process is at work."""
        return self._child is not None

    def poll(self, now: float) -> bool:
        """Send if it is time, or take answers. True: something new is known. Returns at once."""
        if self._child is not None:
            return self._take(now)
        if self.left and now >= self.due:
            if self.tries and now - self.began >= GIVEN_UP_S:
                self.left = {}
                return True
            self._begin(now)
        return False

    def hand_over(self) -> None:
        """Leave the child to itself: it goes on until its deadline after this process has ended."""
        self._child = None

    def close(self) -> None:
        """End the child process."""
        if self._child is None:
            return
        self._child.kill()
        if self._child.stdout is not None:
            self._child.stdout.close()
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(_REAP_S)
        self._child = None

    def _begin(self, now: float) -> None:
        order = {
            "message": asdict(self.message),
            "targets": {number: self.targets[number] for number in self.left},
            "deadline_s": DEADLINE_S,
        }
        self._until, self._read = now + DEADLINE_S + 1.0, b""
        try:
            self._child = start(order)
        except OSError as error:
            self._failed(
                dict.fromkeys(self.left, f"no process can be started: {error.strerror}"), now
            )

    def _take(self, now: float) -> bool:
        assert self._child is not None
        assert self._child.stdout is not None
        part = self._child.stdout.read(1 << 16)
        self._read += part or b""
        *whole, self._read = self._read.split(b"\n")
        errors: dict[int, str | None] = {}
        for line in whole:
            with suppress(ValueError, TypeError, KeyError):
                said = json.loads(line)
                errors[int(said["target"])] = said["error"]
        for number, error in errors.items():
            if error is None and self.left.pop(number, "") != "":
                self.reached.append(number)
            elif number in self.left:
                self.left[number] = error
        if part != b"" and now < self._until:
            return bool(errors)
        self.close()
        self._failed({n: error or NO_ANSWER for n, error in self.left.items()}, now)
        return True

    def _failed(self, left: dict[int, str | None], now: float) -> None:
        self.left = left
        self.due = now + WAITS_S[min(self.tries, len(WAITS_S) - 1)]
        self.tries += 1


def label(targets: Sequence[str], number: int) -> str:
    """A target in words, without its address: its number and kind."""
    address = targets[number]
    name = address if address.startswith("env:") else address.partition("://")[0]
    return f"target {number + 1} ({name})"


def ask(order: Mapping[str, object]) -> dict[int, str | None]:
    """Carry an order out and wait for it: each target's error, or None. Raises OSError."""
    child = start(order)
    assert child.stdout is not None
    os.set_blocking(child.stdout.fileno(), True)
    answers: dict[int, str | None] = {}
    with child:
        for line in child.stdout:
            with suppress(ValueError, TypeError, KeyError):
                said = json.loads(line)
                answers[int(said["target"])] = said["error"]
    return answers


def start(order: Mapping[str, object]) -> "subprocess.Popen[bytes]":
    """Start a child that carries the order out, and prints a line for each target. OSError."""
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "supervisor.notify"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    os.set_blocking(child.stdout.fileno(), False)
    with suppress(BrokenPipeError), child.stdin as pipe:
        pipe.write(json.dumps(order).encode())
    return child
