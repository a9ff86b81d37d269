"""What the daemon asks to be launched, and what around it is the launcher's. Starts nothing."""

from __future__ import annotations

import os
import signal

from supervisor import identity, notify
from supervisor.launcher import procfs
from supervisor.launcher.spawn import Program
from supervisor.launcher.survivors import UNKILLABLE_AFTER_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Surroundings:
    """The launcher as an attempt sees it: its other children, its clock, the way to the daemon.

    `stop_signal_at` is the monotonic time of the last stop signal that the launcher received.
    """

    __slots__ = ("daemon_sessions", "own_pids", "send", "stop_signal_at", "unkillable_after_s")

    def __init__(
        self,
        send: Callable[[dict[str, Any]], None],
        unkillable_after_s: float = UNKILLABLE_AFTER_S,
    ) -> None:
        self.send = send
        self.unkillable_after_s = unkillable_after_s
        self.own_pids: set[int] = set()
        self.daemon_sessions: list[int] = []
        self.stop_signal_at = float("-inf")


class LaunchRequest:
    """A "launch" message. Raises KeyError, TypeError or ValueError if it is not a whole one."""

    __slots__ = ("_argv", "_cwd", "_env", "_log", "_unset", "number", "run_id")

    def __init__(self, message: dict[str, Any]) -> None:
        self.number = int(message["attempt"])
        self.run_id = str(message["run_id"])
        self._argv = [str(word) for word in message["argv"]]
        self._env = {str(name): str(value) for name, value in (message.get("env") or {}).items()}
        self._unset = [str(name) for name in message.get("unset") or ()]
        self._cwd: str | None = message.get("cwd")
        self._log: str | None = message.get("log")
        if not self._argv:
            raise ValueError("an empty argument list")

    @property
    def heartbeat_dir(self) -> str | None:
        """Return the directory of the attempt's heartbeat pages."""
        return self._env.get("SUPERVISOR_HEARTBEAT")

    def program(self) -> Program:
        """Return the program with the marks by which all processes of the attempt are known."""
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
        return Program(
            self._argv,
            environ,
            cwd=self._cwd,
            log=self._log,
            death_signal=signal.SIGTERM,
            oom_eligible=True,
        )
