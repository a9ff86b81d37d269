"""Trainers forked from a process that has loaded torch, as loading takes 3 s of a core each time.

As a program this module is that process. It computes nothing, so it has one thread when it forks. A
fork goes on as `python -m train` does, up to the interpreter's own end.
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from supervisor.worker.system_call import open_pidfd


class Fork:
    """A forked trainer as its starter sees it, with the methods of Popen that the tests need."""

    def __init__(self, order: dict[str, Any], to: socket.socket) -> None:
        """Make the forge start a trainer."""
        self.returncode: int | None = None
        self._line, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        end, output = os.pipe()
        self.stdout = os.fdopen(end)
        try:
            socket.send_fds(to, [json.dumps(order).encode()], [output, other.fileno()])
        finally:
            os.close(output)
            other.close()
        self.pid = int(self._line.recv(64))

    def wait(self, timeout_s: float | None = None) -> int:
        """Return its exit code as Popen does. Raises subprocess.TimeoutExpired if it lives."""
        if self.returncode is None:
            self._line.settimeout(timeout_s)
            try:
                self.returncode = int(self._line.recv(64))
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(f"the fork {self.pid}", timeout_s or 0) from None
            self._line.close()
        return self.returncode

    def poll(self) -> int | None:
        """Return its exit code, or None while it lives."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the trainer, if it lives."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)


class Forge:
    """The process that has loaded torch, started at the first order."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._environ = environ
        self._line: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, words: list[str], cwd: Path, environ: dict[str, str]) -> Fork:
        """Start `python -m train` with these words, in a session of its own."""
        if self._line is None:
            self._line, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(other.fileno())],
                env=self._environ,
                pass_fds=[other.fileno()],
                stdout=subprocess.DEVNULL,
            )
            other.close()
        return Fork({"words": words, "cwd": str(cwd), "environ": environ}, self._line)

    def close(self) -> None:
        """End the process."""
        if self._line is not None and self._process is not None:
            self._line.close()
            self._process.wait(60)


def next_order(line: socket.socket) -> dict[str, Any]:
    """Fork a trainer for each order and report its end; return the order, only in the trainer."""
    living: dict[int, tuple[int, socket.socket]] = {}
    poller = select.poll()
    poller.register(line, select.POLLIN)
    while True:
        for fd, _ in poller.poll():
            if fd != line.fileno():
                poller.unregister(fd)
                pid, told = living.pop(fd)
                os.close(fd)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                told.send(str(code).encode())
                told.close()
                continue
            text, passed, _, _ = socket.recv_fds(line, 1 << 20, 2)
            if not text:
                sys.exit()
            output, told = passed[0], socket.socket(fileno=passed[1])
            pid = os.fork()
            if pid == 0:
                for number in (1, 2):
                    os.dup2(output, number)
                os.close(output)
                for one in (line, told, *(each for _, each in living.values())):
                    one.close()
                for number in living:
                    os.close(number)
                return dict(json.loads(text))
            os.close(output)
            told.send(str(pid).encode())
            pidfd = open_pidfd(pid)
            living[pidfd] = pid, told
            poller.register(pidfd, select.POLLIN)


def become(order: dict[str, Any]) -> None:
    """Become what a new interpreter with these words would be."""
    import runpy

    import numpy as np

    os.setsid()
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["environ"])
    more = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [order["cwd"], *more, *sys.path[1:]]
    sys.argv = ["train", *order["words"]]
    np.random.seed()  # a new interpreter has its own seed; `random` sees to that itself
    sys.modules.pop("sitecustomize", None)
    with contextlib.suppress(ImportError):
        import sitecustomize  # noqa: F401
    runpy.run_module("train", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    import torch._dynamo  # noqa: F401  # the first optimizer does, and it takes as long as torch

    import train.session  # noqa: F401

    # A garbage collection in a fork would touch, and so copy, the memory that forks share.
    gc.freeze()
    become(next_order(socket.socket(fileno=int(sys.argv[1]))))
