"""What the daemon asks to be launched, and what around it is the launcher's. Starts nothing."""

from __future__ import annotations

import os
import signal

from supervisor import identity, notify
from supervisor.launcher import procfs
from supervisor.launcher.delivery import UNTOLD_GRACE_S
from supervisor.launcher.parked import ParkedLink
from supervisor.launcher.spawn import Program
from supervisor.launcher.survivors import UNKILLABLE_AFTER_S
from supervisor.parked import start
from supervisor.parked.command import PythonCommand, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Surroundings:
    """The launcher as an attempt sees it: its other children, its clock, the way to the daemon.

    `stop_signal_at` is the monotonic time of the last stop signal that the launcher received.
    """

    __slots__ = (
        "cgroup",
        "daemon_sessions",
        "own_pids",
        "parked",
        "send",
        "stop_signal_at",
        "unkillable_after_s",
    )

    def __init__(
        self,
        send: Callable[[dict[str, Any]], None],
        unkillable_after_s: float = UNKILLABLE_AFTER_S,
    ) -> None:
        self.send = send
        self.parked = ParkedLink(send)
        self.unkillable_after_s = unkillable_after_s
        self.cgroup: str | None = None
        self.own_pids: set[int] = set()
        self.daemon_sessions: list[int] = []
        self.stop_signal_at = float("-inf")

    def foreign_sessions(self) -> list[int]:
        """Return the sessions whose processes belong to no attempt: of daemons, of the parked."""
        return [*self.daemon_sessions, self.parked.pid]


class ParkRequest:
    """What a program is given. Raises KeyError, TypeError or ValueError if it is not whole.

    As a "park" message it says how the spare interpreter of such a program is made.
    """

    __slots__ = (
        "_env", "_unset", "argv", "cwd", "number", "output", "preload", "record", "run_id",
        "standby",
    )  # fmt: skip

    def __init__(self, message: dict[str, Any]) -> None:
        self.number = int(message.get("attempt") or 0)
        self.run_id = str(message["run_id"])
        self.argv = [str(word) for word in message["argv"]]
        self._env = {str(name): str(value) for name, value in (message.get("env") or {}).items()}
        self._unset = [str(name) for name in message.get("unset") or ()]
        self.cwd: str | None = message.get("cwd")
        self.output: str | None = message.get("output")
        self.record: str | None = message.get("record")
        self.preload: Any = message.get("preload") or "auto"
        self.standby: str | None = message.get("standby")
        if not self.argv:
            raise ValueError("an empty argument list")

    def environ(self) -> dict[str, str]:
        """Return the environment with the marks by which all of an attempt are known."""
        environ = dict(os.environ)
        for name in (*self._unset, *notify.PRIVATE):
            environ.pop(name, None)
        environ.update(self._env)
        environ[procfs.RUN_ID] = self.run_id
        environ[procfs.ATTEMPT] = str(self.number)
        # The namespace tells a worker whether our pid means to it what it means to us.
        namespace = os.stat("/proc/self/ns/pid").st_ino
        who = f"{os.getpid()}:{identity.start_ticks(os.getpid())}:{namespace}"
        environ["SUPERVISOR_LAUNCHER"] = who
        return environ


class LaunchRequest(ParkRequest):
    """A "launch" message; `why_cold` is None where a parked interpreter may be used.

    `patience_s`: how long one that is not ready yet is waited for. `cgroup`: the directory of the
    one that it is to run in. `word_s`: how long what the main process leaves behind with exit code
    0 waits for the daemon's word, 0 where that gives none.
    """

    __slots__ = ("cgroup", "log", "patience_s", "why_cold", "word_s")

    def __init__(self, message: dict[str, Any]) -> None:
        super().__init__(message)
        self.number = int(message["attempt"])
        self.cgroup: str | None = None
        self.log: str | None = message.get("log")
        self.why_cold: str | None = message.get("why_cold")
        self.patience_s = float(message.get("patience_s") or 0.0)
        self.word_s = float(message.get("word_s") or 0.0)

    @property
    def heartbeat_dir(self) -> str | None:
        """Return the directory of the attempt's heartbeat pages."""
        return self._env.get("SUPERVISOR_HEARTBEAT")

    @property
    def grace_s(self) -> float:
        """Return what a stop leaves the attempt to save and end, seconds."""
        try:
            return max(float(self._env.get("SUPERVISOR_GRACE_S", "")), 0.0)
        except ValueError:
            return UNTOLD_GRACE_S

    def program(self) -> Program:
        """Return the program as a new process runs it."""
        environ = self.environ()
        if isinstance(parse(self.argv, environ, self.cwd), PythonCommand):
            environ = start.observed(environ)
        return Program(
            self.argv,
            environ,
            cwd=self.cwd,
            log=self.log,
            death_signal=signal.SIGTERM,
            oom_eligible=True,
            cgroup=self.cgroup,
        )
