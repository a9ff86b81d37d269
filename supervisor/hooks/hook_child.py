"""Starts the child process that runs one hook, and takes its answer; it never waits for long."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from supervisor.system.anonymous_file import anonymous_file
from supervisor.system.child_end import end_child

# The child ends the hook at its deadline, and needs a moment for that.
_LONGER_S = 15.0
_END_S = 2.0
NO_ANSWER = "the process that runs it has ended without an answer"


@dataclass(frozen=True, slots=True)
class HookOrder:
    """What the child is told."""

    command: tuple[str, ...]
    timeout_s: float
    facts: str
    """The JSON object on the hook's standard input."""
    variables: Mapping[str, str]
    log: str
    heading: str
    """The first line above the output in the log."""
    daemon_pid: int
    umask: int | None = None
    """The umask of the user who started the supervisor. None: it is not known."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Texts that are taken out of lines that are told."""

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "HookOrder":
        """The inverse of `asdict`, through JSON. A daemon of another version may say more."""
        known = {name: value for name, value in said.items() if name in cls.__dataclass_fields__}
        lists = {name: tuple(known.get(name, ())) for name in ("command", "secrets")}
        return cls(**{**known, **lists})


@dataclass(frozen=True, slots=True)
class HookResult:
    """How a hook ended."""

    refused: str | None = None
    """Why it did not end with exit code 0."""
    lines: tuple[str, ...] = ()
    """The last lines that it printed, without secrets."""
    left: tuple[int, ...] = ()
    """Pids below the hook that SIGKILL did not end."""
    log_error: str | None = None
    """Why its output could not be kept."""


class HookChild:
    """One hook under way."""

    def __init__(self, order: HookOrder, now: float) -> None:
        """Start it, `now` by CLOCK_MONOTONIC. Raises OSError."""
        self.until = now + order.timeout_s
        self._given_up_at = self.until + _LONGER_S
        self._answer = b""
        with anonymous_file(json.dumps(asdict(order)).encode()) as told:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "supervisor.hooks"],
                stdin=told, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
            )  # fmt: skip
        assert self._process.stdout is not None
        self._pipe = self._process.stdout
        os.set_blocking(self._pipe.fileno(), False)

    def poll(self, now: float) -> HookResult | None:
        """How it ended; None while it runs."""
        has_ended = self._process.poll() is not None
        with suppress(OSError):
            while part := self._pipe.read(1 << 16):
                self._answer += part
        if not has_ended:
            if now < self._given_up_at:
                return None
            self.close()
            return HookResult("the process that runs it does not answer")
        self._pipe.close()
        try:
            said = json.loads(self._answer)
            return HookResult(
                said["refused"], tuple(said.get("lines", ())), tuple(said.get("left", ())),
                said.get("log_error"),
            )  # fmt: skip
        except (ValueError, KeyError, TypeError):
            return HookResult(NO_ANSWER)

    def close(self) -> None:
        """End the hook and all that it started, now: the child does so at SIGTERM."""
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
        end_child(self._process)
