"""Who a process is, so that a bare pid from a file is never signalled. Stdlib only, light imports.

The launcher imports this: no `typing`, no `dataclasses` (each costs it up to 1 MB).
"""

from __future__ import annotations

import errno
import os
from collections import namedtuple

from supervisor.system import system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    class ProcessIdentity(NamedTuple):
        """One process of one boot of one machine; `start_ticks` are clock ticks since boot."""

        machine_id: str
        boot_id: str
        pid: int
        start_ticks: int

else:
    ProcessIdentity = namedtuple("ProcessIdentity", "machine_id boot_id pid start_ticks")

_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)

_cache: dict[str, str] = {}


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        # Absent in minimal containers; the callers have a fallback.
        return ""


def machine_id() -> str:
    """Return /etc/machine-id, or a name made from the host's where there is none."""
    known = _cache.get("machine")
    if not known:
        known = _cache["machine"] = (
            _first_line("/etc/machine-id")
            or _first_line("/var/lib/dbus/machine-id")
            or "host-" + os.uname().nodename
        )
    return known


def boot_id() -> str:
    """Return the kernel's random id of this boot ("" where /proc does not tell)."""
    known = _cache.get("boot")
    if known is None:
        known = _cache["boot"] = _first_line("/proc/sys/kernel/random/boot_id")
    return known


def raise_on_shortage(error: OSError) -> None:
    """Raise `error` again if it says nothing of the process: out of descriptors or of memory.

    What is left means gone (ENOENT, ESRCH) or hidden (EPERM, EACCES: hidepid, another user's).
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
    """Tell from the fields of `read_stat` whether only an entry to be reaped is left.

    A zombie with threads is one whose main thread ended while others go on.
    """
    return fields[0] in (b"Z", b"X", b"x") and int(fields[17]) <= 1


def start_ticks(pid: int) -> int | None:
    """Return the start time of a process in clock ticks since boot (field 22), None if gone."""
    stat = read_stat(pid)
    return None if stat is None else int(stat[1][19])


def own_start_ticks() -> int | None:
    """Return the start time of this process, None without /proc.

    In a PID namespace that kept its parent's /proc (`unshare --pid --fork`), our own number there
    is somebody else's, and only "self" is us.
    """
    stat = read_stat("self")
    return None if stat is None else int(stat[1][19])


def identify(pid: int) -> ProcessIdentity | None:
    """Return the identity of a process of this machine, None if there is no such process."""
    ticks = start_ticks(pid)
    return None if ticks is None else ProcessIdentity(machine_id(), boot_id(), pid, ticks)


def current() -> ProcessIdentity:
    """Return the identity of this process. Raises RuntimeError without /proc."""
    identity = identify(os.getpid())
    if identity is None:
        raise RuntimeError("/proc does not show this process: is /proc mounted?")
    return identity


def is_alive(identity: ProcessIdentity) -> bool:
    """Tell whether exactly this process runs here now; a zombie, or another machine's, does not."""
    if identity.machine_id != machine_id() or identity.boot_id != boot_id():
        return False
    stat = read_stat(identity.pid)
    if stat is None:
        return False
    fields = stat[1]
    return int(fields[19]) == identity.start_ticks and not has_ended(fields)


def send_signal(pid: int, started: int, signum: int) -> bool:
    """Signal exactly the process that started at `started` ticks; False if gone or not ours.

    It is held by a pidfd meanwhile. Where the kernel or a sandbox refuses that, its start time is
    compared right before the signal. Raises OSError on a shortage (EMFILE, ENOMEM).
    """
    try:
        pidfd = system_call.open_pidfd(pid)
    except ProcessLookupError:
        return False
    except OSError as error:
        raise_on_shortage(error)
        return _send_by_number(pid, started, signum)
    try:
        # After the open: the fd now names one process, whatever happens to the pid.
        if start_ticks(pid) != started:
            return False
        system_call.signal_pidfd(pidfd, signum)
    except ProcessLookupError:
        return False
    except OSError as error:
        raise_on_shortage(error)
        # Refused for itself, or it has changed its user: kill(2) tells which.
        return _send_by_number(pid, started, signum)
    else:
        return True
    finally:
        os.close(pidfd)


def _send_by_number(pid: int, started: int, signum: int) -> bool:
    if start_ticks(pid) != started:
        return False
    try:
        os.kill(pid, signum)
    except OSError as error:
        raise_on_shortage(error)
        return False  # it ended, or changed its user
    return True
