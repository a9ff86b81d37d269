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

from supervisor.notify.message import Notice
from supervisor.system.child_end import end_child

DEADLINE_S = 30.0
WAITS_S = (10.0, 30.0, 90.0, 270.0, 600.0)
GIVEN_UP_S = 24 * 3600.0
# Where a target may have taken a message and only seems not to have: each try may be one more
# message for a person. Far apart, so that an outage of an hour does not cost it.
UNSURE_WAITS_S = (300.0, 4 * 3600.0)
NO_ANSWER = f"no answer within {DEADLINE_S:.0f} s"


@dataclass(slots=True)
class Delivery:
    """A message to those targets that have not taken it; times of CLOCK_MONOTONIC."""

    message: Notice
    targets: Sequence[str]
    """As configured: a URL, or `env:NAME`."""
    left: dict[int, str | None]
    """Targets that it has still to reach, by number, each with its last error."""
    keys: tuple[str, ...] = ()
    record: str | None = None
    """A file in which the child notes the targets that took it."""
    began: float = 0.0
    is_last: bool = False
    """Whether the supervisor ends, so that only the child can try again."""
    given_up: dict[int, str] = field(default_factory=dict)
    """Targets that are not tried again, each with its last error."""
    reached: list[int] = field(default_factory=list)
    is_recorded: bool = False
    """Whether the ledger says that it was sent."""
    _tries: dict[int, int] = field(default_factory=dict)
    _unsure: dict[int, int] = field(default_factory=dict)
    _dues: dict[int, float] = field(default_factory=dict)
    _taken: dict[int, list[int]] = field(default_factory=dict)
    _asked: tuple[int, ...] = ()
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

    @property
    def due(self) -> float:
        """When it is tried next."""
        return min((self._dues.get(number, 0.0) for number in self.left), default=0.0)

    def poll(self, now: float) -> bool:
        """Send if it is time, or take answers. True: something new is known. Returns at once."""
        if self._child is not None:
            return self._take(now)
        if self.left and now >= self.due:
            if self._tries and now - self.began >= GIVEN_UP_S:
                self.given_up |= {n: error or NO_ANSWER for n, error in self.left.items()}
                self.left = {}
                return True
            self._begin(now)
        return False

    def hurry(self) -> None:
        """Try once more soon, since the supervisor ends; not what may have been taken."""
        self.is_last = True
        self._dues = {n: due for n, due in self._dues.items() if n in self._unsure}

    def hand_over(self) -> None:
        """Leave the child to itself: it goes on until its deadline after this process has ended."""
        self._child = None

    def close(self) -> None:
        """End the child process."""
        if self._child is None:
            return
        end_child(self._child)
        self._child = None

    def _begin(self, now: float) -> None:
        self._asked = tuple(n for n in self.left if now >= self._dues.get(n, 0.0))
        order = {
            "message": asdict(self.message),
            "targets": {number: self.targets[number] for number in self._asked},
            "taken": self._taken,
            "told": self.keys,
            "record": self.record,
            "retries": self.is_last,
            "deadline_s": DEADLINE_S,
        }
        self._until, self._read = now + DEADLINE_S + 1.0, b""
        try:
            self._child = start(order)
        except OSError as error:
            said = f"no process can be started: {error.strerror}"
            self._failed(dict.fromkeys(self._asked, (said, False)), now)

    def _take(self, now: float) -> bool:
        assert self._child is not None
        assert self._child.stdout is not None
        part = self._child.stdout.read(1 << 16)
        self._read += part or b""
        *whole, self._read = self._read.split(b"\n")
        failed: dict[int, tuple[str, bool]] = {}
        for line in whole:
            with suppress(ValueError, TypeError, KeyError):
                said = json.loads(line)
                number, error = int(said["target"]), said["error"]
                if "part" in said:
                    self._taken.setdefault(number, []).append(said["part"])
                elif number not in self._asked:
                    continue
                elif error is None:
                    del self.left[number]
                    self.reached.append(number)
                else:
                    failed[number] = (error, bool(said.get("is_unsure")))
                if "part" not in said:
                    self._asked = tuple(n for n in self._asked if n != number)
        self._failed(failed, now)
        if part != b"" and now < self._until:
            return bool(whole)
        self.close()
        self._failed(dict.fromkeys(self._asked, (NO_ANSWER, True)), now)
        return True

    def _failed(self, failed: Mapping[int, tuple[str, bool]], now: float) -> None:
        """Note when each of these targets is tried again, if ever."""
        for number, (error, is_unsure) in failed.items():
            self.left[number] = error
            tries = self._tries[number] = self._tries.get(number, 0) + 1
            wait_s = WAITS_S[min(tries, len(WAITS_S)) - 1]
            if is_unsure:
                unsure = self._unsure[number] = self._unsure.get(number, 0) + 1
                if unsure > len(UNSURE_WAITS_S):
                    self.given_up[number] = error
                    del self.left[number]
                    continue
                wait_s = UNSURE_WAITS_S[unsure - 1]
            self._dues[number] = now + wait_s


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
                if "part" not in said:
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
