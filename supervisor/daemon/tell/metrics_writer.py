"""Writes the metrics file from a child process that lives beside the daemon.

A write to a file server that is gone never ends, and not even SIGKILL ends a process inside one.
The daemon itself must not touch the directory. It still waits while Python's own file is executed.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from supervisor.system.child_end import end_child
from supervisor.system.clock import monotonic_s
from supervisor.system.durable import replace_file
from supervisor.system.prctl import die_with_parent

SILENT_S = 5.0
_LOOK_S = 0.01
# node_exporter runs as another user.
_MODE = 0o644


class MetricsWriter:
    """One child and one text at a time: while a write has not ended, no other begins."""

    def __init__(self, path: Path) -> None:
        self.warning: str | None = None
        """Why the file was not written; None if it was."""
        self._path = path
        # A name without the ending: the collector reads no half-written file.
        self._stage = path.parent / f".{path.stem}.{os.getpid()}"
        self._child: subprocess.Popen[bytes] | None = None
        self._asked_at: float | None = None
        self._unsent = b""
        self._answer = b""

    @property
    def is_writing(self) -> bool:
        """Whether a write has not ended."""
        return self._asked_at is not None

    @property
    def child_pid(self) -> int | None:
        """The child's pid; None if there is none."""
        return None if self._child is None else self._child.pid

    def write(self, text: str, now: float) -> None:
        """Have the text written, `now` in seconds of CLOCK_MONOTONIC; `poll` says what came of it.

        Call it only when nothing is being written. Never raises OSError.
        """
        order = {"path": str(self._path), "stage": str(self._stage), "text": text}
        try:
            if self._child is None:
                self._child = _start()
        except OSError as error:
            self._warn(str(error.strerror))
            return
        self._asked_at = now
        self._unsent = json.dumps(order).encode() + b"\n"
        self.poll(now)

    def poll(self, now: float) -> None:
        """Take the child's answer, if there is one. Returns at once."""
        if self._child is None or self._asked_at is None:
            return
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            if self._unsent:  # a pipe holds 4 KiB where a user has many pipes (pipe(7))
                sent = self._child.stdin.write(self._unsent)
                self._unsent = self._unsent[sent or 0 :]
            part = self._child.stdout.read(1 << 16)
        except OSError:
            part = b""
        self._answer += part or b""
        if self._answer.endswith(b"\n"):
            self._take()
        elif part == b"":
            self.close()
            self._warn("the process that writes them has ended")
        elif now - self._asked_at >= SILENT_S:
            self._warn("the file system does not answer")

    def wait(self, until: float) -> None:
        """Wait for the end of a write, at most until this time of CLOCK_MONOTONIC."""
        while self.is_writing:
            now = monotonic_s()
            self.poll(now)
            if now >= until:
                break
            time.sleep(_LOOK_S)
        if self.is_writing:
            self._warn("the file system does not answer")

    def close(self) -> None:
        """End the child. One that not even SIGKILL ends is not waited for."""
        child, self._child, self._asked_at, self._answer = self._child, None, None, b""
        if child is not None:
            end_child(child)

    def _take(self) -> None:
        answer, self._answer = self._answer, b""
        try:
            why = json.loads(answer.splitlines()[-1])
        except ValueError:
            return  # a start-up file of this Python has printed something
        self._asked_at = self.warning = None
        if why is not None:
            self._warn(str(why))

    def _warn(self, why: str) -> None:
        self.warning = f"metrics cannot be written: {why}: {self._path}"


def _start() -> "subprocess.Popen[bytes]":
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", __name__, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
    )
    for pipe in (child.stdin, child.stdout):
        assert pipe is not None
        os.set_blocking(pipe.fileno(), False)
    return child


def _written(path: Path, stage: Path, text: str) -> str | None:
    """Write the file; why that failed, or None."""
    data = text.encode()
    try:
        try:
            replace_file(path, data, mode=_MODE, sync=False, stage=stage)
        except FileExistsError:  # of a daemon with this pid whose child was killed inside a write
            stage.unlink(missing_ok=True)
            replace_file(path, data, mode=_MODE, sync=False, stage=stage)
    except OSError as error:
        return error.strerror or str(error)
    return None


def main() -> None:
    """Carry out each order on standard input; the answer is a reason as JSON, or null."""
    # An old daemon's text must not replace the text of the next.
    die_with_parent(signal.SIGKILL, int(sys.argv[1]))
    for line in sys.stdin.buffer:
        order = json.loads(line)
        why = _written(Path(order["path"]), Path(order["stage"]), order["text"])
        sys.stdout.write(json.dumps(why) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
