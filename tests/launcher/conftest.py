"""A real launcher with a daemon whose orders the test writes."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.launcher import process_tree
from supervisor.system import procfs
from supervisor.system.json_lines import Decoder, encode

HERE = Path(__file__).parent
LAUNCHER = HERE.parents[1] / "supervisor" / "launcher" / "__main__.py"
PATIENCE_S = 90.0


def wait_until(claim: Callable[[], Any], what: str = "it", timeout_s: float = PATIENCE_S) -> Any:
    """Wait for a claim to hold and return its value."""
    end = time.monotonic() + timeout_s
    while not (value := claim()):
        if time.monotonic() > end:
            pytest.fail(f"waited {timeout_s} s for {what}")
        time.sleep(0.005)
    return value


def is_gone(pid: int) -> bool:
    """Whether no living process has this pid."""
    process = procfs.read_process(pid)
    return process is None or process.has_ended


class Daemon:
    """The test's end of the conversation between one daemon and the launcher."""

    def __init__(self, connection: socket.socket, stderr: Path) -> None:
        self.stderr = stderr
        self.connection = connection
        self.decoder = Decoder()
        self.inbox: list[dict[str, Any]] = []
        self.seen: list[dict[str, Any]] = []
        connection.settimeout(PATIENCE_S)
        self.pid = int(connection.makefile("rb", buffering=0).readline())
        self.hello = self.expect("hello")

    def send(self, do: str, **fields: Any) -> None:
        self.connection.sendall(encode({"do": do, **fields}))

    def expect(self, what: str, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait for a message; earlier messages are kept in `seen`."""
        end = time.monotonic() + timeout_s
        while True:
            while self.inbox:
                message = self.inbox.pop(0)
                self.seen.append(message)
                if message["is"] == what:
                    return message
            if not select.select([self.connection], [], [], max(0, end - time.monotonic()))[0]:
                said = self.stderr.read_text()
                pytest.fail(f"no {what!r} in {timeout_s} s; seen: {self.seen}; said: {said}")
            data = self.connection.recv(65536)
            assert data, f"the daemon's line ended before {what!r}; seen: {self.seen}"
            self.inbox += self.decoder.feed(data)

    def is_silent(self, for_s: float) -> bool:
        return not self.inbox and not select.select([self.connection], [], [], for_s)[0]


class Rig:
    """One launcher, its daemons, and the directory in which the trainers write."""

    wait_until = staticmethod(wait_until)
    is_gone = staticmethod(is_gone)

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run_id = f"test-{uuid.uuid4().hex}"
        self.log = folder / "train.log"
        self.stderr = folder / "launcher.stderr"
        self._sockets = tempfile.TemporaryDirectory(prefix="rig", dir="/tmp")
        self._address = f"{self._sockets.name}/s"
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(self._address)
        self._server.listen(8)
        self._server.settimeout(PATIENCE_S)
        self.process: subprocess.Popen[bytes] | None = None
        self._daemons: list[Daemon] = []

    def relay_argv(self) -> list[str]:
        """The scripted daemon's command."""
        relay = str(HERE / "relay_daemon.py")
        return [sys.executable, "-S", relay, "{socket_fd}", self._address]

    def start(
        self,
        *options: str,
        daemon_argv: list[str] | None = None,
        prefix: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
        **popen: Any,
    ) -> None:
        argv = [*prefix, sys.executable, "-S", "-P", str(LAUNCHER), "--run-dir", str(self.folder)]
        argv += ["--daemon-argv-json", json.dumps(daemon_argv or self.relay_argv()), *options]
        with self.stderr.open("ab") as stderr:
            self.process = subprocess.Popen(
                argv, stderr=stderr, cwd=self.folder, env={**os.environ, **(env or {})}, **popen
            )

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def daemon(self) -> Daemon:
        """Wait for the next daemon's connection and its hello."""
        daemon = Daemon(self._server.accept()[0], self.stderr)
        self._daemons.append(daemon)
        return daemon

    def request(self, *argv: str | Path, attempt: int = 1, **fields: Any) -> dict[str, Any]:
        return {
            "attempt": attempt,
            "run_id": self.run_id,
            "argv": [str(word) for word in argv],
            "env": {"FOLDER": str(self.folder)},
            "unset": [],
            "cwd": str(self.folder),
            "log": str(self.log),
            **fields,
        }

    def launch(self, daemon: Daemon, *argv: str | Path, **fields: Any) -> dict[str, Any]:
        """Launch and wait until the attempt has started."""
        daemon.send("launch", **self.request(*argv, **fields))
        return daemon.expect("started")

    def script(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def wait_for_file(self, name: str) -> str:
        """Wait for a file that a trainer writes (in one write), and return its text."""
        path = self.folder / name
        text = wait_until(lambda: path.exists() and path.read_text(), name)
        return str(text)

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        assert self.process is not None
        return self.process.wait(timeout_s)

    def finish(self, daemon: Daemon, code: int = 0) -> None:
        """End the launcher by a daemon's order."""
        daemon.send("exit", code=code)
        assert self.wait() == code

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        for daemon in self._daemons:
            daemon.connection.close()
            for number in (signal.SIGCONT, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(daemon.pid, number)
        while left := process_tree.find(self.run_id, None):
            for process in left:
                procfs.send_signal(process.pid, process.start_ticks, signal.SIGKILL)
            time.sleep(0.01)
        self._server.close()
        self._sockets.cleanup()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.close()


# A rank or a trainer: it saves on SIGTERM after a while, and reports in files.
SAVER = """\
import os, signal, sys, time
name, save_s = sys.argv[1], float(sys.argv[2])
stop = []
signal.signal(signal.SIGTERM, lambda number, frame: stop.append(number))
open(name + ".ready.tmp", "w").write(str(os.getpid()))
os.rename(name + ".ready.tmp", name + ".ready")
while not stop:
    time.sleep(0.01)
time.sleep(save_s)
open(name + ".saved.tmp", "w").write(f"{len(stop)}")
os.rename(name + ".saved.tmp", name + ".saved")
sys.exit(75)
"""


@pytest.fixture
def saver(rig: Rig) -> Path:
    return rig.script("saver.py", SAVER)
