"""The parked interpreter: started on the daemon's word, an attempt's main process from "go" on.

Until then it is no part of any attempt. The launcher never waits for it, and it ends with the
launcher.
"""

from __future__ import annotations

import os
import signal
import time

from supervisor.launcher.children.spawn import Program, spawn_connected
from supervisor.launcher.children.trainer import environ_of
from supervisor.launcher.messages import ParkedReport
from supervisor.standby import start
from supervisor.standby.command import Cold, may_be_script, parse
from supervisor.standby.shebang import resolve
from supervisor.system import identity, procfs
from supervisor.system.json_lines import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from supervisor.launcher.messages import LaunchOrder, ParkOrder, Report
    from supervisor.system.json_lines import JsonLines

ABSENT = "absent"
IMPORTING = "importing"
WAITING = "waiting"
# Told to be the program, and no answer yet.
GOING = "going"
# It is the program: `take` makes it the attempt's.
GONE = "gone"
# Killed or refusing, and not reaped yet: no other program may start beside it.
ENDING = "ending"
LONGEST_IMPORT_S = 1800.0
NONE_YET = "nothing is parked yet"


class ParkedLink:
    """At most one parked interpreter, and the socket to it."""

    def __init__(self, send: Callable[[Report], None]) -> None:
        """`send` tells the daemon of each change."""
        self.pid = 0
        self.start_ticks = 0
        self.stage = ABSENT
        self.reason = NONE_YET
        self.lines: JsonLines | None = None
        self._send = send
        self._since = 0.0
        self._is_reaped = self._has_died = False
        self._said: dict[str, Any] = {}

    def report(self) -> ParkedReport:
        """Return the report to the daemon on the parked interpreter."""
        is_there = self.stage in (IMPORTING, WAITING)
        return ParkedReport(
            stage=self.stage if is_there else ABSENT,
            pid=self.pid if is_there else None,
            since=self._since if is_there else None,
            said=self._said,
            reason=None if is_there or self.reason == NONE_YET else self.reason,
            has_died=self._has_died,
        )

    def order(self, order: ParkOrder) -> None:
        """Start one, unless there is one. A start that fails is reported, never raised."""
        if self.stage is not ABSENT:
            return
        try:
            self._start(order)
        except OSError as error:
            self._set(ABSENT, f"the interpreter cannot be started: {error.strerror}")

    def _start(self, order: ParkOrder) -> None:
        environ = environ_of(order)
        if not may_be_script(order.argv):
            known = parse(order.argv, environ, order.cwd)
            if isinstance(known, Cold):
                self._set(ABSENT, known.reason)
                return
        nonce, launcher_pid = os.urandom(8).hex(), os.getpid()

        def prepare(fd: int) -> tuple[list[str], dict[str, str]]:
            command = resolve(order.argv, environ, order.cwd)
            if isinstance(command, Cold):
                os.write(fd, encode({"refused": command.reason}))
                os._exit(0)
            started = start.environ(
                environ,
                command,
                nonce,
                control_fd=fd,
                record=order.record,
                preload=order.preload,
                standby=order.standby,
                launcher_pid=launcher_pid,
            )
            return start.argv(command, nonce), started

        def program_of(fd: int) -> Program:
            return Program(
                order.argv,
                environ,
                cwd=order.cwd,
                log=order.output,
                death_signal=signal.SIGKILL,
                kept_fd=fd,
                oom_eligible=True,
                prepare=lambda: prepare(fd),
            )

        spawned, self.lines = spawn_connected(program_of)
        # A failed exec shows in the exit status; nothing waits for the report.
        os.close(spawned.report_fd)
        self.pid = spawned.pid
        self._is_reaped = self._has_died = False
        self.start_ticks = identity.start_ticks(spawned.pid) or 0
        self._said = {}
        self._since = time.monotonic()
        self._set(IMPORTING, "")

    def deadline(self) -> float | None:
        """Return the monotonic time at which `on_time` has something to do, None for never."""
        return self._since + LONGEST_IMPORT_S if self.stage is IMPORTING else None

    def on_time(self) -> None:
        """Kill a parked interpreter whose imports never end."""
        due = self.deadline()
        if due is not None and time.monotonic() >= due:
            self.discard(f"its imports took more than {LONGEST_IMPORT_S:.0f} s")

    def verify(self) -> None:
        """Let it check its files now, since a launch is near."""
        if self.stage is WAITING and self.lines is not None:
            self.lines.write(start.verify())

    def go(self, order: LaunchOrder) -> None:
        """Tell a waiting interpreter to be the program."""
        self.stage = GOING
        message = start.go(
            order.argv,
            environ_of(order),
            cwd=order.cwd,
            log=order.log,
            death_signal=signal.SIGTERM,
        )
        assert self.lines is not None
        self.lines.write(message)

    def read(self) -> None:
        """Read its messages and act on them."""
        if self.lines is None:
            return
        for message in self.lines.read():
            self._on_message(message)
        if self.lines.is_lost:
            self._close()
            self.discard("")

    def _on_message(self, message: dict[str, Any]) -> None:
        if "parked" in message and self.stage is IMPORTING:
            self._said = message["parked"]
            self._set(WAITING, "")
        elif "refused" in message:
            self.discard(str(message["refused"]))
        elif message.get("going") is True and self.stage is GOING:
            self.stage = GONE

    def discard(self, reason: str) -> None:
        """Kill it, unless it is the program already; without a reason, its exit status is one."""
        if self.stage in (ABSENT, GONE, ENDING):
            return
        self.stage, self.reason = ENDING, reason
        if not self._is_reaped:
            os.kill(self.pid, signal.SIGKILL)

    def take(self) -> tuple[int, int]:
        """Give away the process that is now the program: its pid and start time."""
        found = self.pid, self.start_ticks
        self._close()
        self.pid = 0
        self._set(ABSENT, NONE_YET)
        return found

    def on_reaped(self, status: int) -> bool:
        """Note its end; True if it was the program by then: the attempt has to note that end."""
        self._is_reaped = True
        self.read()
        if self.stage is GONE:
            return True
        code = os.waitstatus_to_exitcode(status)
        how = f"exited with {code}" if code >= 0 else f"was ended by signal {-code}"
        self._has_died = not self.reason
        reason = self.reason or f"the parked interpreter {how}"
        self._close()
        self._end_children(self.pid)
        self.pid = 0
        self._set(ABSENT, reason)
        return False

    @staticmethod
    def _end_children(session: int) -> None:
        """Kill the processes that its imports left behind: they belong to no attempt."""
        for pid in procfs.children(os.getpid()) or ():
            process = procfs.read_process(pid)
            if process is not None and process.session == session:
                procfs.send_signal(pid, process.start_ticks, signal.SIGKILL)

    def _set(self, stage: str, reason: str) -> None:
        self.stage, self.reason = stage, reason
        self._send(self.report())

    def _close(self) -> None:
        if self.lines is not None:
            self.lines.close()
            self.lines = None
