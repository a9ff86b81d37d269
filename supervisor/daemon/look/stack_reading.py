"""Reads the stacks of some processes at one moment, into memory; it must never wait.

Attached ranks write their own stacks on SIGUSR2. Of other processes py-spy reads the memory, as a
child process.
"""

import os
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import IO

from supervisor.daemon.look.stack_text import Stacks, parse
from supervisor.system.child_end import end_child

# faulthandler answers within milliseconds; beside a training that uses all cores it takes longer.
_ANSWER_S = 3.0
_SETTLED_S = 0.2
_SPY_S = 5.0
_BYTES_MAX = 1 << 20


class StackReading:
    """One reading. Have SIGUSR2 sent to `to_signal`, then call `poll` until it is true."""

    def __init__(
        self, armed: Mapping[int, Path], others: tuple[int, ...], py_spy: str | None
    ) -> None:
        """`armed`: the file that each attached process appends its stacks to."""
        self.stacks: dict[int, Stacks] = {}
        """By pid; what could not be read is missing."""
        self._began_at = monotonic()
        self._answers = {pid: _RankAnswer(path) for pid, path in armed.items()}
        self._spies: dict[int, _SpyReading] = {}
        for pid in others if py_spy is not None else ():
            with suppress(OSError):  # no descriptors or processes: it stays unread
                self._spies[pid] = _SpyReading(str(py_spy), pid)
        self.to_signal = tuple(armed)

    def poll(self) -> bool:
        """Go on; true once all is read or its time is over. Returns at once."""
        elapsed_s = monotonic() - self._began_at
        for pid, answer in list(self._answers.items()):
            text = answer.text()
            if text is not None:
                self._keep(pid, text)
            if text is not None or elapsed_s >= _ANSWER_S:
                del self._answers[pid]
        for pid, spy in list(self._spies.items()):
            text = spy.text()
            if text is not None:
                self._keep(pid, text)
            elif elapsed_s >= _SPY_S:
                spy.kill()
            if text is not None or elapsed_s >= _SPY_S:
                del self._spies[pid]
        return not (self._answers or self._spies)

    def close(self) -> None:
        """Kill each py-spy that runs."""
        for spy in self._spies.values():
            spy.kill()
        self._spies.clear()

    def _keep(self, pid: int, text: str) -> None:
        stacks = parse(text)
        if stacks:
            self.stacks[pid] = stacks


class _RankAnswer:
    """What faulthandler appends to a rank's file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = self._size = _size(path)
        self._changed_at = 0.0

    def text(self) -> str | None:
        """The rank's answer, once nothing was added for a while; None before."""
        size = _size(self._path)
        if size != self._size:
            self._size, self._changed_at = size, monotonic()
        if size <= self._start or monotonic() - self._changed_at < _SETTLED_S:
            return None
        try:
            with self._path.open("rb") as file:
                file.seek(self._start)
                text = file.read(_BYTES_MAX).decode("utf-8", "replace")
        except OSError:
            return ""
        if size > _BYTES_MAX:
            # Ranks append. In a run of months with an evaluation each hour, the file must not fill
            # a tmpfs.
            with suppress(OSError):
                os.truncate(self._path, 0)
        return text


class _SpyReading:
    """One py-spy; it only reads the process's memory, so it can neither stop nor harm it."""

    def __init__(self, program: str, pid: int) -> None:
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 -- lives as long as py-spy
        try:
            self._process = subprocess.Popen(
                [program, "dump", "--nonblocking", "--pid", str(pid)],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            self._output.close()
            raise

    def text(self) -> str | None:
        """What py-spy wrote, once it has ended; empty where it failed."""
        code = self._process.poll()
        if code is None:
            return None
        with self._output as file:
            file.seek(0)
            return file.read(_BYTES_MAX).decode("utf-8", "replace") if code == 0 else ""

    def kill(self) -> None:
        """Kill py-spy. If it hangs in the kernel, the next child that is started reaps it."""
        end_child(self._process)
        self._output.close()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
