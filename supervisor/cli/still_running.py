"""Finds the processes of a run that no supervisor has, by the marks that the launcher uses."""

from collections.abc import Iterator
from pathlib import Path

from supervisor.core.entries.reading import read_entry
from supervisor.core.entries.run import RunCreatedEntry
from supervisor.core.unwatched_status import StillRunning
from supervisor.launcher import process_tree
from supervisor.rundir.ledger import iterate_ledger
from supervisor.rundir.paths import RunPaths
from supervisor.system import procfs
from supervisor.system.clock import monotonic_s
from supervisor.system.procfs import Process
from supervisor.worker.page_reading import read_pages

_HEARTBEAT = "SUPERVISOR_HEARTBEAT"
_MOST = 8
_WORDS_MOST = 200


def still_running(paths: RunPaths, run_id: str | None) -> tuple[StillRunning, ...]:
    """The trainer's processes, oldest first.

    They are the processes that have a heartbeat page. Where none has one, they are the processes
    whose parent is not among those found. Another account's processes are not seen, nor a process
    that has cleared its environment and lost its parents.
    """
    run_id = run_id or _run_id(paths)
    if run_id is None:
        return ()
    try:
        found = process_tree.find(run_id, None)
        return tuple(_told(found))
    except OSError:
        return ()  # too few descriptors to look: `status` shows what is on record


def _told(found: list[Process]) -> Iterator[StillRunning]:
    marks = {process.pid: _marks(process.pid) for process in found}
    pages = {}
    for folder in {folder for _, folder in marks.values() if folder is not None}:
        for page in read_pages(folder):
            pages[(page.pid, page.start_ticks)] = page
    own = {process.pid for process in found}
    # A worker in another PID namespace writes its pid of that namespace, so its page matches no
    # process here. Then the processes without a parent among those found stand for the trainer.
    with_page = [process for process in found if (process.pid, process.start_ticks) in pages]
    chosen = with_page or [process for process in found if process.ppid not in own]
    for process in chosen[:_MOST]:
        seen = pages.get((process.pid, process.start_ticks))
        beat_ns = None if seen is None else seen.beat_monotonic_ns
        age_s = None if beat_ns is None else round(max(monotonic_s() - beat_ns / 1e9, 0.0), 2)
        yield StillRunning(
            pid=process.pid,
            attempt=marks[process.pid][0],
            command=_command(process),
            step=None if seen is None else seen.step,
            heartbeat_age_s=age_s,
        )


def _marks(pid: int) -> tuple[int | None, str | None]:
    """The attempt that a process carries, and its heartbeat directory."""
    environ = procfs.read_environ(pid) or b""
    attempt = procfs.mark(environ, procfs.ATTEMPT) or ""
    return int(attempt) if attempt.isdigit() else None, procfs.mark(environ, _HEARTBEAT)


def _command(process: Process) -> str:
    try:
        words = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    except OSError:
        words = b""
    text = words.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")
    return text[:_WORDS_MOST] or process.comm


def _run_id(paths: RunPaths) -> str | None:
    """The run's id by its ledger, whose first entries have it."""
    try:
        for record in iterate_ledger(paths.ledger):
            match read_entry(record):
                case RunCreatedEntry(run_id=str(run_id)):
                    return run_id
    except OSError:
        return None
    return None
