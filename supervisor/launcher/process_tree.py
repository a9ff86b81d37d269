"""Which processes belong to an attempt. It only looks; nothing here signals."""

from __future__ import annotations

import os

from supervisor.system import procfs
from supervisor.system.procfs import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection


def _is_marked(pid: int, run_id: str, attempt: int | None) -> bool:
    environ = procfs.read_environ(pid)
    return (
        environ is not None
        and procfs.has_mark(environ, procfs.RUN_ID, run_id)
        and (
            not _is_anothers(environ)
            if attempt is None
            else procfs.has_mark(environ, procfs.ATTEMPT, str(attempt))
        )
    )


def _is_anothers(environ: bytes) -> bool:
    """Tell whether another living launcher started the process, which then is no leftover.

    A copied run directory has the same run id, and a parked interpreter belongs to no attempt yet.
    """
    value = procfs.mark(environ, procfs.LAUNCHER)
    pid, _, rest = (value or "").partition(":")
    ticks, _, namespace = rest.partition(":")
    if not (pid.isdigit() and ticks.isdigit()) or int(pid) == os.getpid():
        return False
    if namespace != str(os.stat("/proc/self/ns/pid").st_ino):
        return False  # a pid of another namespace means nothing here
    launcher = procfs.read_process(int(pid))
    return launcher is not None and launcher.start_ticks == int(ticks) and not launcher.has_ended


def find(
    run_id: str,
    attempt: int | None,
    *,
    roots: Collection[int] = (),
    spare: Collection[int] = (),
) -> list[Process]:
    """Return the living processes of an attempt (None: of any attempt of the run), oldest first.

    They are the processes whose environment carries the marks, those in `roots`, and the
    descendants of both. Marks alone do not suffice: a program may overwrite the memory that
    /proc/PID/environ shows (setproctitle does), or start a child with an empty environment. This
    process, its ancestors and `spare` are never among them.
    """
    marked = {
        pid for pid in procfs.all_pids() if pid not in spare and _is_marked(pid, run_id, attempt)
    }
    if not marked and not roots:
        return []
    table = {pid: process for pid in procfs.all_pids() if (process := procfs.read_process(pid))}
    parents = {process.pid: process.ppid for process in table.values()}
    forbidden = {os.getpid(), *procfs.ascend(parents, os.getpid()), *spare}
    found = procfs.descend(parents, [*marked, *roots], forbidden)
    members = [table[pid] for pid in found if pid in table and not table[pid].has_ended]
    return sorted(members, key=lambda process: (process.start_ticks, process.pid))


def adopted(
    run_id: str, since_ticks: int, own: Collection[int], daemon_sessions: Collection[int]
) -> list[int] | None:
    """Return the launcher's children that belong to the attempt begun at `since_ticks`.

    As a subreaper the launcher is the parent of all orphans of the attempt. Zombies are included,
    since they have to be reaped first. Left out are:

    - `own` (daemon, view), and what a dead daemon left behind (`daemon_sessions`);
    - children older than the attempt, say of a shell that became the launcher by exec;
    - processes with the mark of another run;
    - processes without a mark, if the launcher is PID 1: they may be from outside (`docker exec`).

    Returns None if the kernel does not list a process's children.
    """
    pids = procfs.children(os.getpid())
    if pids is None:
        return None
    found = []
    for pid in pids:
        if pid in own:
            continue
        process = procfs.read_process(pid)
        if process is None or process.start_ticks < since_ticks:
            continue
        if process.session in daemon_sessions:
            continue
        environ = procfs.read_environ(pid)
        if environ and not procfs.has_mark(environ, procfs.RUN_ID, run_id):
            is_another_run = procfs.has_mark(environ, procfs.RUN_ID)
            if is_another_run or os.getpid() == 1:
                continue
        found.append(pid)
    return found
