"""Pings a dead man's switch while the run is as it should be; `/fail` where it is not."""

import json
import subprocess
from contextlib import suppress

from supervisor.core.status import Status
from supervisor.core.vocabulary import RunState
from supervisor.notify.delivery import DEADLINE_S, NO_ANSWER, start
from supervisor.system.child_end import end_child

_FAILED = frozenset({RunState.HELD, RunState.STUCK, RunState.KILLING})
_UNLAUNCHED = frozenset({RunState.WAITING, RunState.LAUNCHING})


class Pinger:
    """At most one child process at a time; times of CLOCK_MONOTONIC."""

    def __init__(self, address: str | None, every_s: float) -> None:
        self._address = address
        self._every_s = every_s
        self._due = 0.0
        self._was_failed = False
        self._child: subprocess.Popen[bytes] | None = None
        self._suffix = ""
        self._until = 0.0
        self._answer = b""
        self.problem: str | None = None
        """Why the last ping did not arrive; None if it did."""

    @property
    def is_wanted(self) -> bool:
        """Whether the configuration has an address."""
        return self._address is not None

    @property
    def is_pinging(self) -> bool:
        """Whether a child process is at work."""
        return self._child is not None

    def poll(
        self, status: Status, now: float, *, is_last: bool = False, is_refused: bool = False
    ) -> None:
        """Ping if it is time; take the answer of the last ping. Returns at once.

        `is_refused`: the next launch is refused for so long that a person has to look.
        """
        if self._address is None:
            return
        self.take(now)
        has_failed = status.state in _FAILED or (is_refused and status.state in _UNLAUNCHED)
        suffix = "/fail" if has_failed else ""
        is_news = has_failed and not self._was_failed
        if is_last and self._child is not None and self._suffix == suffix:
            return  # begun a moment ago, it is the last one
        if is_last or is_news:
            self.close()  # an older ping must not arrive behind this one
        elif self._child is not None or now < self._due:
            return
        elif has_failed or status.overdue:
            return  # a failure is told once, and of doubt the silence tells
        self._was_failed = has_failed
        self._due = now + self._every_s
        self._ask(suffix, status, now)

    def hand_over(self) -> None:
        """Leave the child to itself."""
        self._child = None

    def close(self) -> None:
        """End the child process."""
        if self._child is None:
            return
        end_child(self._child)
        self._child = None

    def _ask(self, suffix: str, status: Status, now: float) -> None:
        step = "" if status.step is None else f", step {status.step}"
        said = f"{status.run}: {status.state}{step}. {status.reason or ''}".strip()
        order = {"ping": self._address, "suffix": suffix, "said": said, "deadline_s": DEADLINE_S}
        self._suffix = suffix
        self._until, self._answer = now + DEADLINE_S + 1.0, b""
        try:
            self._child = start(order)
        except OSError as error:
            self.problem = f"no process can be started: {error.strerror}"

    def take(self, now: float) -> None:
        """Take the answer of the ping under way, if it is there."""
        if self._child is None:
            return
        assert self._child.stdout is not None
        part = self._child.stdout.read(1 << 16)
        self._answer += part or b""
        if part != b"" and now < self._until:
            return
        self.problem = NO_ANSWER
        with suppress(ValueError, KeyError, TypeError):
            self.problem = json.loads(self._answer)["error"]
        self.close()
