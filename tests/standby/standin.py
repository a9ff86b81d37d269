"""The launcher's part in a test: it starts a parked interpreter as the launcher would."""

import json
import os
import select
import signal
import socket
import time
from pathlib import Path
from typing import Any

from supervisor.launcher.children.spawn import Program, read_report, spawn
from supervisor.standby import command, start
from supervisor.standby.shebang import resolve
from supervisor.system.json_lines import encode

PATIENCE_S = 90.0


def as_user(uid: int) -> list[str]:
    """The words before a command that is to run without any privilege."""
    ids = [f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    return ["setpriv", *ids, "--pdeathsig=keep"]


class Ended(AssertionError):
    """The parked interpreter ended without a message."""


class Parked:
    """One parked interpreter, and the launcher's end of its control socket."""

    def __init__(
        self,
        argv: list[str],
        environ: dict[str, str],
        *,
        cwd: Path,
        output: Path,
        record: Path | None = None,
        preload: str | list[str] = "auto",
        standby: str | None = None,
        uid: int | None = None,
    ) -> None:
        """Start it in the run's directory `cwd`, with its standard output in the file `output`."""
        self.argv, self.environ, self.cwd = argv, environ, cwd
        parsed = resolve(argv, environ, str(cwd))
        assert isinstance(parsed, command.PythonCommand), parsed
        self._socket, theirs = socket.socketpair()
        nonce = os.urandom(8).hex()
        words = start.argv(parsed, nonce)
        started = start.environ(
            environ,
            parsed,
            nonce,
            control_fd=theirs.fileno(),
            record=None if record is None else str(record),
            preload=preload,
            standby=standby,
        )
        if uid is not None:
            words = [*as_user(uid), *words]
        program = Program(
            words,
            started,
            cwd=str(cwd),
            log=str(output),
            death_signal=signal.SIGKILL,
            kept_fd=theirs.fileno(),
        )
        spawned = spawn(program)
        theirs.close()
        self.pid = spawned.pid
        self._status: int | None = None
        select.select([spawned.report_fd], [], [], PATIENCE_S)
        assert read_report(spawned.report_fd) is True
        os.close(spawned.report_fd)
        self._file = self._socket.makefile("rb")
        self._socket.settimeout(PATIENCE_S)

    def hear(self) -> dict[str, Any]:
        """Return the next message. Raises Ended if there is none."""
        line = self._file.readline()
        if not line:
            raise Ended(f"status {self.wait()}")
        return json.loads(line)

    def say(self, message: dict[str, Any]) -> None:
        """Send a message as the launcher does."""
        self._socket.sendall(encode(message))

    def go(self, log: Path | None, **changes: Any) -> dict[str, Any]:
        """Order the launch, with changes against the start, and return the answer."""
        self.say(
            start.go(
                changes.get("argv", self.argv),
                changes.get("environ", self.environ),
                cwd=str(changes.get("cwd", self.cwd)),
                log=None if log is None else str(log),
                death_signal=signal.SIGTERM,
            )
        )
        return self.hear()

    def close(self) -> None:
        """Close the control socket, as the launcher's end does."""
        self._file.close()
        self._socket.close()

    def wait(self) -> int:
        """Return its exit code, or minus the signal. Raises AssertionError if it goes on."""
        until = time.monotonic() + PATIENCE_S
        while self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > until:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise AssertionError("it did not end")
            else:
                time.sleep(0.005)
        return self._status

    def end(self) -> None:
        """Leave nothing behind, at whichever point the test is."""
        self.close()
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()


def run_cold(argv: list[str], environ: dict[str, str], *, cwd: Path, log: Path) -> int:
    """Launch a command without a parked interpreter, and return its exit code when it ends."""
    spawned = spawn(Program(argv, environ, cwd=str(cwd), log=str(log), death_signal=signal.SIGTERM))
    try:
        return os.waitstatus_to_exitcode(os.waitpid(spawned.pid, 0)[1])
    finally:
        os.close(spawned.report_fd)
