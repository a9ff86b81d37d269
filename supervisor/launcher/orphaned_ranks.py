"""Which processes are ranks once their main process has ended, so that a stop reaches them."""

from __future__ import annotations

from supervisor.launcher.attached_ranks import attached, process_of
from supervisor.system import procfs
from supervisor.system.procfs import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from supervisor.system.named_tuple import NamedTuple


class Ranks(NamedTuple):
    """The ranks, and whether that is known (`is_certain`) or only the best guess."""

    processes: list[Process]
    is_certain: bool


def _has_local_rank(pid: int) -> bool:
    return procfs.has_mark(procfs.read_environ(pid) or b"", "LOCAL_RANK")


def choose(members: list[Process], heartbeat_dir: str | None, since_ticks: int | None) -> Ranks:
    """Choose among an attempt's living processes (oldest first) those that a stop has to reach.

    These are the processes with a heartbeat page. Without pages, they are those with LOCAL_RANK
    whose parent has none: the others are data-loader workers, which must not get SIGTERM. Else the
    oldest process is the guess.

    `since_ticks` is the main process's start. A page of a later process proves that this attempt's
    ranks have pages, even if none of them lives any more.
    """
    if heartbeat_dir:
        pages = attached(heartbeat_dir)
        known = [p for page in pages if (p := process_of(page, members)) is not None]
        is_ours = since_ticks is not None and any(page.start_ticks >= since_ticks for page in pages)
        if known or is_ours:
            return Ranks(known, True)
    ranked = [p for p in members if _has_local_rank(p.pid)]
    ranked_pids = {p.pid for p in ranked}
    first = [p for p in ranked if p.ppid not in ranked_pids]
    if first:
        return Ranks(first, True)
    return Ranks(members[:1], False)
