"""Whether a launcher or daemon of a run lives, by the processes: its lock may be removed."""

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
    """A process that keeps a run."""

    pid: int
    what: str
    """`launcher` or `daemon`."""


def refuse_living(run_dir: Path) -> None:
    """Refuse a run that a launcher or a daemon here still has. Raises SupervisorError with 69."""
    found = living(run_dir)
    if found is None:
        return
    raise SupervisorError(
        f"{run_dir}: another supervisor has this run: its {found.what}, pid {found.pid}, lives, and"
        " its lock was removed",
        hint="it makes its record anew within seconds; then `supervisor status` shows it and"
        f" `supervisor stop` ends it. If it does not: kill {found.pid}",
        code=ExitCode.LOCKED,
    )


def living(run_dir: Path) -> Living | None:
    """A launcher or daemon that keeps exactly this directory, as far as it can be seen.

    Another container's same path is another directory; what cannot be told (another account's
    process, another mount namespace) is none, and the lock decides alone.
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
    """The command line; nothing of a zombie, whose memory has gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def _is_same(pid: int, place: Path, run_dir: Path) -> bool:
    """Whether a directory as a process sees it is ours; it may be gone, and only its name be."""
    try:
        is_shared = Path(f"/proc/{pid}/ns/mnt").samefile("/proc/self/ns/mnt")
        is_rooted = Path(f"/proc/{pid}/root").samefile("/proc/self/root")
        if is_shared and is_rooted:
            return os.path.realpath(place) == os.path.realpath(run_dir)
        return Path(f"/proc/{pid}/root{place}").samefile(run_dir)
    except OSError:
        return False
