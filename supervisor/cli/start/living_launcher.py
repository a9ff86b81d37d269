"""Looks among the processes for a run's launcher or daemon: its lock file may be removed."""

import os
from dataclasses import dataclass
from pathlib import Path

from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError
from supervisor.system import procfs

_PROGRAMS = (b"supervisor/launcher/__main__.py", b"supervisor/daemon/__main__.py")
_OPTION = b"--run-dir"


@dataclass(frozen=True, slots=True)
class Living:
    """A launcher or daemon that has a run."""

    pid: int
    what: str
    """`launcher` or `daemon`."""


def refuse_living(run_dir: Path) -> None:
    """Refuse a run that a launcher or daemon here still has. Raises SupervisorError (69)."""
    found = living(run_dir)
    if found is None:
        return
    raise SupervisorError(
        f"{run_dir}: another supervisor has this run: its {found.what} (pid {found.pid}) lives,"
        " although its lock was removed",
        hint="that supervisor makes its record anew within seconds; then `supervisor status` shows"
        f" it, and `supervisor stop` ends it. If that fails, type: kill {found.pid}",
        code=ExitCode.LOCKED,
    )


def living(run_dir: Path) -> Living | None:
    """A launcher or daemon that has exactly this run directory, as far as it can be seen.

    The same path in another container is another directory. A process that cannot be looked into
    (another account's) is passed over; then the lock alone decides.
    """
    try:
        pids = procfs.all_pids()
    except OSError:
        return None
    for pid in sorted(pids):
        words = _words(pid)
        what = next((name for name in _PROGRAMS if any(w.endswith(name) for w in words)), None)
        if what is None or pid == os.getpid() or _OPTION not in words[:-1]:
            continue
        place = Path(os.fsdecode(words[words.index(_OPTION) + 1]))
        if _is_same(pid, place, run_dir):
            return Living(pid, os.fsdecode(what.split(b"/")[1]))
    return None


def _words(pid: int) -> list[bytes]:
    """The words of a command line; none for a zombie, whose memory is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def _is_same(pid: int, place: Path, run_dir: Path) -> bool:
    """Whether `place`, as process `pid` sees it, is `run_dir`.

    Where both processes see the same files the names decide, since the directory may be gone.
    """
    try:
        is_shared = Path(f"/proc/{pid}/ns/mnt").samefile("/proc/self/ns/mnt")
        is_rooted = Path(f"/proc/{pid}/root").samefile("/proc/self/root")
        if is_shared and is_rooted:
            return os.path.realpath(place) == os.path.realpath(run_dir)
        return Path(f"/proc/{pid}/root{place}").samefile(run_dir)
    except OSError:
        return False
