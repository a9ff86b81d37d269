"""Which shells between a main process and its ranks are frozen while ranks save. It only looks."""

from __future__ import annotations

import os
import stat

from supervisor.launcher import elastic_agents
from supervisor.system import identity, procfs
from supervisor.system.procfs import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# These programs run one command after another, and do nothing for the ranks. While ranks save they
# are frozen. Otherwise they would begin the next command once a rank has saved and ended.
SHELLS = ("sh", "bash", "dash", "ash", "busybox", "zsh", "ksh", "ksh93", "mksh", "fish", "tcsh")
SEQUENCERS = frozenset((*SHELLS, "csh", "xargs", "make", "gmake"))


def sequencers(processes: Iterable[Process]) -> list[Process]:
    """Return those of the processes that run one command after another."""
    return [one for one in processes if procfs.executable_name(one.pid) in SEQUENCERS]


def is_needed(
    process: Process, ranks: Iterable[Process], table: dict[int, Process], main_pid: int
) -> bool:
    """Tell whether a rank could block on a pipe to this ancestor, so that it must not be frozen.

    The ancestor writes what a rank reads (a coprocess), or reads what a process below it writes
    (`$(train.py | tee log)`, zsh's `train.py | while read`). Named pipes are not looked for.
    """
    reads, writes = _pipes(process.pid)
    # A pipe with both ends in one process is a store (make's job server): all its users have both.
    both = reads & writes
    reads, writes = reads - both, writes - both
    if writes and any(writes & _pipes(rank.pid)[0] for rank in ranks):
        return True
    for one in table.values() if reads else ():
        above = (outer.pid for outer in elastic_agents.ancestors(one, table, main_pid))
        if process.pid in above and reads & _pipes(one.pid)[1]:
            return True
    return False


def _pipes(pid: int) -> tuple[set[str], set[str]]:
    """Return the pipes that a process has open for reading, and those for writing."""
    reads, writes = set(), set()
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)
    except OSError as error:
        identity.raise_on_shortage(error)
        return set(), set()  # ended, or not ours
    for name in names:
        try:
            link = os.readlink(f"{folder}/{name}")
            # The link's own permissions are those that the file was opened with: proc(5).
            mode = os.lstat(f"{folder}/{name}").st_mode if link.startswith("pipe:") else 0
        except OSError as error:
            identity.raise_on_shortage(error)
            continue  # closed meanwhile
        if mode & stat.S_IRUSR:
            reads.add(link)
        if mode & stat.S_IWUSR:
            writes.add(link)
    return reads, writes
