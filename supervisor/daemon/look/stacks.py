"""Where each process of a hung attempt stands, written into the incident's folder.

It must never wait: py-spy and /proc can hang on a process, so `poll` is called until it is done.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic

from supervisor.daemon.look.counters import with_descendants
from supervisor.daemon.look.processes import catches_stack_signal, describe, is_python
from supervisor.system.identity import start_ticks
from supervisor.worker.page import Page

DEADLINE_S = 10.0
# faulthandler answers within milliseconds, even under a held GIL. A process that does not answer
# is stopped.
_ANSWER_S = 3.0
_SETTLED_S = 0.2
_REAP_S = 2.0
_STACKS_BYTES_MAX = 1 << 20
_PROCESSES_MAX = 16
_AT_ONCE = 4


class StackDump:
    """One dump. Call start(), have SIGUSR2 sent to `to_signal`, then poll() until it is true."""

    def __init__(
        self, folder: Path, pages: Sequence[Page], main_pid: int, heartbeat_dir: Path
    ) -> None:
        self.folder = folder
        self.problems: list[str] = []
        """What could not be read or written, in sentences."""
        alive = [page for page in pages if start_ticks(page.pid) == page.start_ticks]
        self._answers = [
            _AnswerFile(page.pid, heartbeat_dir / f"stacks-{page.local_rank}.txt")
            for page in alive
            if page.stacks_armed and catches_stack_signal(page.pid)
        ]
        self._pids = with_descendants([main_pid, *(page.pid for page in alive)])
        self._waiting: list[int] = []
        self._spies: list[_SpyDump] = []
        self._began_s = 0.0
        self._gave_up = False

    @property
    def to_signal(self) -> tuple[int, ...]:
        """The attached processes that write their stacks on SIGUSR2; it would kill any other."""
        return tuple(answer.pid for answer in self._answers)

    def start(self) -> None:
        """Write processes.txt and begin the dump; returns at once. Failures go into `problems`."""
        self._began_s = monotonic()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            text = "\n".join(describe(pid) for pid in self._pids)
            (self.folder / "processes.txt").write_text(text, encoding="utf-8")
        except OSError as error:
            self.problems.append(f"cannot write to {self.folder}: {error}")
        armed = set(self.to_signal)
        others = [pid for pid in self._pids if pid not in armed]
        pythons = [pid for pid in others if is_python(pid)]
        if not pythons and not armed:
            # A program that embeds Python has another name: py-spy finds out.
            pythons = others[:1]
        if len(pythons) > _PROCESSES_MAX:
            self.problems.append(
                f"took stacks of only {_PROCESSES_MAX} of {len(pythons)} processes"
            )
        self._waiting = pythons[:_PROCESSES_MAX]

    def poll(self) -> bool:
        """Go on, at once; true when all is written, after 10 s, or 12 s if a py-spy hangs."""
        elapsed_s = monotonic() - self._began_s
        for answer in list(self._answers):
            if answer.is_settled():
                self._write(f"stacks-{answer.pid}.txt", answer.text())
                self._answers.remove(answer)
            elif elapsed_s > _ANSWER_S and not answer.has_begun:
                self.problems.append(
                    f"process {answer.pid} did not answer SIGUSR2, so py-spy was asked"
                )
                self._answers.remove(answer)
                self._waiting.append(answer.pid)
        for spy in list(self._spies):
            if spy.is_done():
                self._spies.remove(spy)
        while self._waiting and len(self._spies) < _AT_ONCE and elapsed_s < DEADLINE_S:
            self._spy_on(self._waiting.pop(0))
        if elapsed_s >= DEADLINE_S and not self._gave_up:
            self._give_up()
        if elapsed_s >= DEADLINE_S + _REAP_S:
            self._spies = []  # killed and not gone: py-spy hangs in the kernel
        return not (self._answers or self._spies or self._waiting)

    def _give_up(self) -> None:
        self._gave_up = True
        for answer in self._answers:
            self._write(f"stacks-{answer.pid}.txt", answer.text())
        for spy in self._spies:
            spy.kill()
            self.problems.append(f"py-spy gave no stacks of process {spy.pid} in {DEADLINE_S:g} s")
        self.problems += [f"no time was left for stacks of process {pid}" for pid in self._waiting]
        self._answers, self._waiting = [], []

    def _spy_on(self, pid: int) -> None:
        path = self.folder / f"stacks-{pid}.txt"
        program = find_py_spy()
        if program is None:
            self.problems.append("py-spy is not installed: pip install py-spy")
            self._write(path.name, "no stacks: py-spy is not installed (pip install py-spy)\n")
            return
        try:
            self._spies.append(_SpyDump(program, pid, path))
        except OSError as error:
            self.problems.append(f"cannot run {program}: {error}")

    def _write(self, name: str, text: str) -> None:
        try:
            (self.folder / name).write_text(text, encoding="utf-8")
        except OSError as error:
            self.problems.append(f"cannot write {name}: {error}")


class _AnswerFile:
    """What faulthandler in an attached process appends to its file."""

    def __init__(self, pid: int, path: Path) -> None:
        self.pid = pid
        self._path = path
        self._start = self._size = _size(path)
        self._changed_s = 0.0

    @property
    def has_begun(self) -> bool:
        return self._size > self._start

    def is_settled(self) -> bool:
        """Whether the process has answered, and added nothing for a while."""
        size = _size(self._path)
        if size != self._size:
            self._size, self._changed_s = size, monotonic()
        return self.has_begun and monotonic() - self._changed_s >= _SETTLED_S

    def text(self) -> str:
        """The answer, its first mebibyte."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._start)
                return file.read(_STACKS_BYTES_MAX).decode("utf-8", "replace")
        except OSError as error:
            return f"no stacks: {error}\n"


class _SpyDump:
    """One py-spy; it only reads the process's memory, so it can neither stop nor harm it."""

    def __init__(self, program: str, pid: int, path: Path) -> None:
        self.pid = pid
        self._path = path
        with path.open("wb") as file:
            self._process = subprocess.Popen(
                [program, "dump", "--nonblocking", "--pid", str(pid)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def is_done(self) -> bool:
        code = self._process.poll()
        if code:
            self._explain(code)
        return code is not None

    def _explain(self, code: int) -> None:
        hint = ""
        with suppress(OSError):
            if "ermission" in self._path.read_text(encoding="utf-8", errors="replace"):
                hint = ", not permitted (kernel.yama.ptrace_scope); attach() needs no permission"
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"no stacks: py-spy ended with {code}{hint}\n")

    def kill(self) -> None:
        """Kill py-spy; is_done() reaps it."""
        self._process.kill()


def find_py_spy() -> str | None:
    """The py-spy of this installation, else one on PATH."""
    own = Path(sys.executable).with_name("py-spy")
    return str(own) if os.access(own, os.X_OK) else shutil.which("py-spy")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
