"""Reading processes through /proc, and signalling them; it decides nothing."""

from __future__ import annotations

import os

from supervisor.system import identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from typing import NamedTuple
else:
    from supervisor.system.named_tuple import NamedTuple

RUN_ID = "SUPERVISOR_RUN_ID"
ATTEMPT = "SUPERVISOR_ATTEMPT"
LAUNCHER = "SUPERVISOR_LAUNCHER"

send_signal = identity.send_signal


class Process(NamedTuple):
    """A process as /proc shows it at one moment; `state` is the letter of ps(1)."""

    pid: int
    start_ticks: int
    ppid: int
    session: int
    state: str
    comm: str
    has_ended: bool


def read_process(pid: int) -> Process | None:
    """Return a process, None if it is gone; zombies are returned (see `Process.has_ended`)."""
    stat = identity.read_stat(pid)
    if stat is None:
        return None
    comm, fields = stat
    return Process(
        pid,
        int(fields[19]),
        int(fields[1]),
        int(fields[3]),
        fields[0].decode(),
        comm,
        identity.has_ended(fields),
    )


def all_pids() -> list[int]:
    """Return every pid that /proc shows."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def children(pid: int) -> list[int] | None:
    """Return the children, zombies included, of a single-threaded process; None if unknown.

    Exact when `pid` is the caller: only the caller takes entries out of its own list. None where
    the kernel was built without CONFIG_PROC_CHILDREN.
    """
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
            return [int(child) for child in file.read().split()]
    except OSError as error:
        identity.raise_on_shortage(error)
        return None


def descend(
    parents: Mapping[int, int], roots: Iterable[int], spare: Collection[int] = ()
) -> list[int]:
    """Return these processes and all that descend from them, parents first.

    `parents` has each process's parent. Left out are the processes of `spare`, and those that
    descend from them alone.
    """
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    known = set(spare)
    found = []
    pending = list(roots)
    while pending:
        new = [pid for pid in dict.fromkeys(pending) if pid not in known]
        known.update(new)
        found += new
        pending = [child for pid in new for child in children.get(pid, ())]
    return found


def ascend(parents: Mapping[int, int], pid: int) -> set[int]:
    """Return the ancestors of a process, as far as `parents` tells."""
    found: set[int] = set()
    parent = parents.get(pid)
    while parent and parent not in found:
        found.add(parent)
        parent = parents.get(parent)
    return found


def read_environ(pid: int) -> bytes | None:
    """Return the environment a process was started with, None if it may not or cannot be read.

    Empty for a kernel thread and for a process that is already exiting.
    """
    try:
        fd = os.open(f"/proc/{pid}/environ", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        identity.raise_on_shortage(error)
        return None
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
    except OSError as error:
        identity.raise_on_shortage(error)
        return None
    finally:
        os.close(fd)
    return b"".join(parts)


def read_command(pid: int) -> list[str]:
    """Return a process's argument list, [] if it may not or cannot be read."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(65536)
    except OSError as error:
        identity.raise_on_shortage(error)
        return []
    return [os.fsdecode(word) for word in words.split(b"\0")[:-1]]


def executable_name(pid: int) -> str:
    """Return the file name of what a process runs, "" where it is not told."""
    try:
        path = os.readlink(f"/proc/{pid}/exe")
    except OSError as error:
        identity.raise_on_shortage(error)
        return ""
    return os.path.basename(path.removesuffix(" (deleted)"))


def _status(pid: int) -> dict[str, str]:
    """Return the lines of /proc/PID/status, {} if it is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError as error:
        identity.raise_on_shortage(error)
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def inner_pid(pid: int) -> int | None:
    """Return a process's number in its own PID namespace, None where that is this one or unknown.

    The last of NSpid in /proc/PID/status: proc(5), Linux 4.1.
    """
    numbers = _status(pid).get("NSpid", "").split()
    return int(numbers[-1]) if len(numbers) > 1 else None


def would_die_of(pid: int, signum: int) -> bool:
    """Tell whether a signal is neither handled, ignored nor blocked by a process's main thread."""
    status = _status(pid)
    masks = [status.get(name) for name in ("SigCgt", "SigIgn", "SigBlk")]
    known = [int(mask, 16) for mask in masks if mask]
    return len(known) == len(masks) and not any(mask >> (signum - 1) & 1 for mask in known)


def umask(pid: int) -> int | None:
    """Return a process's umask, None if it is gone or the kernel does not tell (before 4.7)."""
    value = _status(pid).get("Umask")
    return None if value is None else int(value, 8)


def has_mark(environ: bytes, name: str, value: str | None = None) -> bool:
    """Tell whether an environment has a variable (with exactly this value, if one is given)."""
    start = b"\0" + os.fsencode(name) + b"="
    padded = b"\0" + environ
    if value is None:
        return start in padded
    return start + os.fsencode(value) + b"\0" in padded + b"\0"


def mark(environ: bytes, name: str) -> str | None:
    """Return the value of a variable of an environment, None where it has none."""
    start = b"\0" + os.fsencode(name) + b"="
    _, found, rest = (b"\0" + environ).partition(start)
    return os.fsdecode(rest.partition(b"\0")[0]) if found else None
