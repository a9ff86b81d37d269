"""strace on a running process: it notes every system call, or injects a fault at one of them."""

import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.chaos.strace_log import STRACE

KILL = "signal=SIGKILL"
# Calls at which a disk or a tmpfs may report that it is full …
FULL = (
    *("write", "pwrite64", "writev", "pwritev", "fsync", "fdatasync", "openat", "mkdir", "rename"),
    *("renameat2", "fallocate", "ftruncate", "link", "linkat", "symlink", "mknodat", "mknod"),
)
# … and calls at which it may fail.
FAILING = (
    *FULL,
    *("read", "pread64", "readv", "preadv", "getdents64", "newfstatat", "statfs", "unlink"),
    *("unlinkat", "rmdir", "close", "fadvise64", "lseek", "fstat", "statx"),
)
_WAIT_S = 45.0
_BEGUN = re.compile(r"(\d+) +(\w+)\(")


class Strike(NamedTuple):
    """A fault at the `number`-th call of that name in one thread."""

    call: str
    number: int
    effect: str

    def __str__(self) -> str:
        return f"{self.effect.partition('=')[2]} at {self.call} {self.number}"


def kills(calls: Counter[str]) -> list[Strike]:
    """A kill at each call of a recording."""
    return list(_strikes(calls, calls, KILL))


def errors(calls: Counter[str]) -> list[Strike]:
    """A full and a failing disk at each call that can return such an error."""
    return [
        *_strikes(calls, FULL, "error=ENOSPC"),
        *_strikes(calls, FAILING, "error=EIO"),
    ]


def _strikes(
    calls: Counter[str], names: tuple[str, ...] | Counter[str], effect: str
) -> Iterator[Strike]:
    for name in names:
        for number in range(1, calls[name] + 1):
            yield Strike(name, number, effect)


class Tracer:
    """strace on a process and its threads, until the process ends or `close` detaches it."""

    def __init__(self, pid: int, log: Path, strike: Strike | None = None) -> None:
        """Return once strace holds the process. Raises AssertionError if it never does."""
        assert STRACE is not None
        self._log = log
        words = [STRACE, "-f", "-y", "-qq", "-o", str(log), "-p", str(pid)]
        if strike is not None:
            inject = f"inject={strike.call}:{strike.effect}:when={strike.number}"
            words += ["-e", f"trace={strike.call}", "-e", inject]
        self._process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + _WAIT_S
        while not _is_traced(pid):
            if self._process.poll() is not None:
                # strace restarts the call that the process sleeps in; the strike may hit this call.
                assert _is_dead(pid), self._process.communicate()[1]
                return
            assert time.monotonic() < deadline, "strace did not attach"
            time.sleep(0.001)

    def close(self) -> None:
        """Detach from the process if it lives."""
        if self._process.poll() is None:
            self._process.terminate()
        _, said = self._process.communicate(timeout=_WAIT_S)
        assert "Cannot" not in said, said

    def calls(self) -> Counter[str]:
        """The calls so far by name: the largest number of each that one thread made."""
        most: Counter[str] = Counter()
        for (_, name), count in self._by_thread().items():
            most[name] = max(most[name], count)
        return most

    def _by_thread(self) -> Counter[tuple[str, str]]:
        with self._log.open(errors="replace") as lines:
            found = (_BEGUN.match(line) for line in lines)
            return Counter((match[1], match[2]) for match in found if match is not None)

    def struck(self) -> str:
        """strace's lines about the injected errors, one for each thread that reached the call."""
        with self._log.open(errors="replace") as lines:
            return "".join(line for line in lines if "(INJECTED)" in line)


def _is_dead(pid: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


def _is_traced(pid: int) -> bool:
    """Whether every thread of a process is traced; a process that is gone counts as traced."""
    try:
        texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    except OSError:
        return True
    return "TracerPid:\t0\n" not in "".join(texts)
