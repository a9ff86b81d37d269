"""Ends all that descends from this process, which has to be a subreaper (prctl(2)).

A subreaper's orphans become its children, also those that made a session of their own. So nothing
that descends from it can leave it.
"""

import os
import signal
import time
from contextlib import suppress

from supervisor.system import identity, procfs
from supervisor.system.clock import monotonic_s

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.002, 0.1


def end_descendants(patience_s: float) -> list[int]:
    """SIGKILL to all of them until none is left; returns the pids that live on after `patience_s`.

    Children are reaped, so no exit status is left to be asked for. Raises OSError on a shortage of
    descriptors or memory.
    """
    until, pause_s = monotonic_s() + patience_s, _FIRST_PAUSE_S
    while True:
        reap()
        if not (left := living()):
            return []
        for process in left:
            identity.send_signal(process.pid, process.start_ticks, signal.SIGKILL)
        if monotonic_s() >= until:
            return [process.pid for process in left]
        time.sleep(pause_s)
        pause_s = min(pause_s * 2.0, _LONGEST_PAUSE_S)


def reap() -> None:
    """Take the exit status of each child that has ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def living() -> list[procfs.Process]:
    """All that descends from this process and has not ended, parents first."""
    own = os.getpid()
    if procfs.children(own) == []:
        return []
    found = (procfs.read_process(pid) for pid in procfs.all_pids())
    table = {process.pid: process for process in found if process is not None}
    parents = {process.pid: process.ppid for process in table.values()}
    below = procfs.descend(parents, [own])[1:]
    return [table[pid] for pid in below if not table[pid].has_ended]
