"""Processes as /proc shows them: whether one is there, and since when. Stdlib only and light."""

from __future__ import annotations

import errno
import os

_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def raise_on_shortage(error: OSError) -> None:
    """Raise `error` again if it says nothing of the process: out of descriptors or of memory.

    Any other error means that the process is gone (ENOENT, ESRCH) or hidden (EPERM, EACCES:
    hidepid, another user's).
    """
    if error.errno in _SHORTAGES:
        raise error


def read_stat(pid: int | str) -> tuple[str, list[bytes]] | None:
    """Return (comm, the fields of /proc/PID/stat from field 3 on), None if it is gone: proc(5).

    `pid` may be "self". Raises OSError on a shortage (EMFILE, ENOMEM), which must not read as
    "gone".
    """
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise_on_shortage(error)
        return None
    try:
        data = os.read(fd, 4096)
    except OSError as error:
        raise_on_shortage(error)
        return None
    finally:
        os.close(fd)
    # comm may itself hold spaces and parentheses, so it ends at the last one.
    head, parenthesis, rest = data.rpartition(b") ")
    fields = rest.split()
    if not parenthesis or len(fields) < 20:
        return None
    return head.partition(b"(")[2].decode("utf-8", "replace"), fields


def has_ended(fields: list[bytes]) -> bool:
    """Tell from the fields of `read_stat` whether the process has ended and waits to be reaped.

    A zombie with threads has not: its main thread has ended while others go on.
    """
    return fields[0] in (b"Z", b"X", b"x") and int(fields[17]) <= 1


def start_ticks(pid: int) -> int | None:
    """Return the start time of a process in clock ticks since boot (field 22), None if gone."""
    stat = read_stat(pid)
    return None if stat is None else int(stat[1][19])


def own_start_ticks() -> int | None:
    """Return the start time of this process, None without /proc.

    In a PID namespace that kept its parent's /proc (`unshare --pid --fork`), this process's number
    is another process's there. Only "self" is this process.
    """
    stat = read_stat("self")
    return None if stat is None else int(stat[1][19])
