"""Who a process is, so that a bare pid from a file is never signalled. Stdlib only, light imports.

The launcher imports this: no `typing`, no `dataclasses` (each costs it up to 1 MB).
"""

from __future__ import annotations

import os

from supervisor.worker import system_call
from supervisor.worker.processes import (
    has_ended,
    own_start_ticks,
    raise_on_shortage,
    read_stat,
    start_ticks,
)

__all__ = [
    "ProcessIdentity",
    "boot_id",
    "current",
    "has_ended",
    "identify",
    "is_alive",
    "machine_id",
    "own_start_ticks",
    "raise_on_shortage",
    "read_stat",
    "send_signal",
    "start_ticks",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from supervisor.system.named_tuple import NamedTuple

_cache: dict[str, str] = {}


class ProcessIdentity(NamedTuple):
    """One process of one boot of one machine; `start_ticks` are clock ticks since boot."""

    machine_id: str
    boot_id: str
    pid: int
    start_ticks: int


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

    A pidfd holds the process meanwhile. Where the kernel or a sandbox refuses that, its start time
    is compared right before the signal. Raises OSError on a shortage (EMFILE, ENOMEM).
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
        # The call itself is refused, or the process has changed its user: kill(2) tells which.
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
        return False  # the process ended, or changed its user
    return True
