"""Which ranks are attached: an attempt's heartbeat pages, and the byte that asks a rank to stop.

The launcher uses it, and the daemon when the launcher has died. It makes no page and maps none: to
touch a mapped page of a truncated file is SIGBUS. Stdlib only.
"""

from __future__ import annotations

import os
import stat

from supervisor.system import identity, procfs
from supervisor.worker.page_layout import (
    HEADER,
    MAGIC,
    OUTCOME_AT,
    OWNER_PREFIX,
    PAGE_BYTES,
    RANK_PREFIX,
    STOP_ASKED,
    STOP_READ,
    VERSION,
)
from supervisor.worker.sign_layout import SIGN_PREFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NamedTuple

    from supervisor.system.procfs import Process
else:
    from supervisor.system.named_tuple import NamedTuple


class Attached(NamedTuple):
    """What one page says; `reads_stop`: its worker's should_stop reads the byte that asks to stop.

    `is_asked`: that byte is set.
    """

    path: str
    pid: int
    start_ticks: int
    created_ns: int
    has_outcome: bool
    reads_stop: bool
    is_asked: bool


def attached(heartbeat_dir: str | None) -> list[Attached]:
    """Return what the pages say now; other files are passed over. Never raises.

    In an emptied tmpfs (RemoveIPC) there are no pages. The ranks put them back within a second.
    """
    if not heartbeat_dir:
        return []
    try:
        names = sorted(os.listdir(heartbeat_dir))
    except OSError:
        return []
    paths = (os.path.join(heartbeat_dir, name) for name in names if name.startswith(RANK_PREFIX))
    return [page for path in paths if (page := _read(path)) is not None]


def ask_to_stop(page: Attached) -> None:
    """Set the byte that `should_stop` reads, if the page exists and still belongs to this rank.

    pwrite(2) changes the existing file, so this never makes a page.
    """
    if page.is_asked:
        return
    try:
        fd = os.open(page.path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return  # the page has gone meanwhile; the next look finds the new page
    try:
        found = os.fstat(fd)
        head = os.pread(fd, HEADER.size, 0)
        if not stat.S_ISREG(found.st_mode) or found.st_size < PAGE_BYTES:
            return
        magic, version, pid, _, _, _, start_ticks, _, _ = HEADER.unpack(head)
        if (magic, version, pid, start_ticks) == (MAGIC, VERSION, page.pid, page.start_ticks):
            os.pwrite(fd, b"\1", STOP_ASKED)
    except OSError:
        return  # the tmpfs fails: the rank still gets the signal
    finally:
        os.close(fd)


def process_of(page: Attached, members: Iterable[Process]) -> Process | None:
    """Return the living process of a page, as this PID namespace numbers it; None for none.

    A worker in its own PID namespace writes the number that it has in there. Its process has that
    innermost number and the same start time. A worker that cannot read /proc writes start time 0.
    """
    for process in members:
        if process.pid == page.pid and page.start_ticks in (0, process.start_ticks):
            return process
    for process in members:
        if process.start_ticks == page.start_ticks and procfs.inner_pid(process.pid) == page.pid:
            return process
    return None


def keeps_open(pid: int, heartbeat_dir: str | None, beside: str = OWNER_PREFIX) -> bool:
    """Tell whether a process is attached although another process has its rank's page.

    This happens to helpers, and to ranks without a LOCAL_RANK. Such a process has a file open
    beside the page, whose name begins with `beside`. No child inherits that descriptor. readlink(2)
    waits for no file system.
    """
    if not heartbeat_dir:
        return False
    place = f"/{os.path.basename(heartbeat_dir)}/"
    # A loop that gives only signs of life keeps their file open, and is not attached.
    sought, sign = place + beside, place + SIGN_PREFIX
    folder = f"/proc/{pid}/fd"
    try:
        links = (_link(f"{folder}/{name}") for name in os.listdir(folder))
        return any(sought in link and sign not in link for link in links)
    except OSError as error:
        identity.raise_on_shortage(error)
        return False  # ended, or not ours


def lacks_ranks(pid: int, here: int) -> bool:
    """Tell whether this node has ranks besides the `here` attached ones, by the rank's environment.

    Only the main process can tell those of a stop.
    """
    count = procfs.mark(procfs.read_environ(pid) or b"", "LOCAL_WORLD_SIZE") or ""
    return count.isdigit() and here < int(count)


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError as error:
        identity.raise_on_shortage(error)
        return ""  # closed meanwhile


def _read(path: str) -> Attached | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        raw = os.pread(fd, OUTCOME_AT + 1, 0)
    except OSError:
        return None
    finally:
        os.close(fd)
    if len(raw) <= OUTCOME_AT or not raw.startswith(MAGIC):
        return None
    _, _, pid, _, _, _, start_ticks, created_ns, _ = HEADER.unpack_from(raw)
    return Attached(
        path,
        pid,
        start_ticks,
        created_ns,
        raw[OUTCOME_AT] != 0,
        raw[STOP_READ] != 0,
        raw[STOP_ASKED] != 0,
    )
