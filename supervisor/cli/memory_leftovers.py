"""What dead runs left in shared memory: whose it is, and what would be lost with it.

A run is alive while any process holds its locks, has its files open or mapped, or carries its
name in its environment. A living run is never listed, and so never touched.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from supervisor.checkpoint.staging import discard
from supervisor.checkpoint.validate import is_resumable
from supervisor.cli.ask_survey import request_of
from supervisor.cli.record import read_history, read_record
from supervisor.cli.registry import REGISTRY, registered_directories
from supervisor.cli.runtime_directories import runtime_parent
from supervisor.cli.target import is_run, runs_below
from supervisor.memory.slots import REMOVING, Lock, SnapshotPaths, Whole, is_locked, read_whole
from supervisor.memory.snapshot_proof import read_verdict, vet
from supervisor.memory.space import used_bytes
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.status_file import read_status
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey
from supervisor.system import procfs
from supervisor.system.clock import rfc3339, wall_s

_YOUNG_S = 5.0
# What a snapshot is worth. "on the disk": the disk has its step or a later one. "none": there is
# no snapshot.
Worth = Literal["only copy", "on the disk", "useless", "unknown", "none"]


@dataclass(frozen=True, slots=True)
class Leftover:
    """The directory of one dead run. `bytes` of memory; `run_dir` where it is known.

    `whole`: its newest usable snapshot; its newest one where none is usable. `disk_step`: the step
    of the newest valid checkpoint on the disk. `reason`: explains the worth where that is needed.
    """

    path: Path
    run_dir: Path | None
    bytes: int
    whole: Whole | None
    worth: Worth
    disk_step: int | None = None
    reason: str | None = None

    @property
    def name(self) -> str:
        """What the directory is called: the run's id, or `own-…` without a supervisor."""
        return self.path.name

    @property
    def loses_nothing(self) -> bool:
        """Whether nothing of value is lost when the directory is removed."""
        return self.worth not in ("only copy", "unknown")

    def as_json(self) -> dict[str, Any]:
        """What `supervisor clean --json` shows of it."""
        snapshot = None if self.whole is None else self.whole.snapshot
        return {
            "path": str(self.path),
            "run_dir": None if self.run_dir is None else str(self.run_dir),
            "bytes": self.bytes,
            "step": None if snapshot is None else snapshot.step,
            "snapshot": None if self.whole is None else str(self.whole.path),
            "written": None if snapshot is None else rfc3339(snapshot.written),
            "directory": None if snapshot is None else snapshot.directory,
            "disk_step": self.disk_step,
            "worth": self.worth,
            "newer_than_disk": self.worth == "only copy",
            "reason": self.reason,
        }


def find_leftovers() -> list[Leftover]:
    """All leftovers of this user, sorted by name. Raises OSError."""
    parent = runtime_parent()
    if parent is None:
        return []
    folders = sorted(p for p in parent.iterdir() if p.is_dir() and not p.is_symlink())
    folders = [path for path in folders if path.name != REGISTRY]
    folders = [path for path in folders if not _is_young(path)]
    alive = _in_use(folders)
    return [_look(path) for path in folders if path not in alive]


def _is_young(path: Path) -> bool:
    """Whether a process may have made the directory just now, and not yet taken its lock."""
    with suppress(OSError):
        return wall_s() - path.lstat().st_mtime < _YOUNG_S
    return True


def snapshots_of(path: Path) -> Path:
    """Where the slots of a run are: in `snapshots`, or in the directory itself.

    A training script without a supervisor puts them into the directory itself.
    """
    inside = path / "snapshots"
    return inside if inside.is_dir() else path


def remove(leftover: Leftover) -> bool:
    """Remove a leftover; False if a process uses the directory by now. Raises OSError."""
    paths = SnapshotPaths(snapshots_of(leftover.path))
    with ExitStack() as stack:
        # A process that begins to use the directory from here on finds it locked, and then gone.
        for path in _locks(paths):
            if not stack.enter_context(Lock(path)).acquire():
                return False
        if _in_use([leftover.path]):
            return False
        target = leftover.path.with_name(f"{REMOVING}{leftover.name}")
        discard(target)
        leftover.path.rename(target)
    return discard(target)


def _locks(paths: SnapshotPaths) -> Iterator[Path]:
    """The lock files that exist in a directory. Opening a `Lock` would make a missing one."""
    locks = (paths.writer_lock, paths.persister_lock, *(slot.lock for slot in paths.slots))
    return (path for path in locks if path.is_file() and not path.is_symlink())


def _in_use(folders: Collection[Path]) -> set[Path]:
    """The directories that a living process uses, or whose run a supervisor has."""
    used = {
        path for path in folders if any(map(is_locked, _locks(SnapshotPaths(snapshots_of(path)))))
    }
    for pid in procfs.all_pids():
        if len(used) == len(folders):
            break
        if pid != os.getpid() and (text := _traces(pid)):
            used |= {path for path in folders if path not in used and _is_named(path, text)}
    for path in set(folders) - used:
        run_dir = _run_of(path)
        if run_dir is not None and read_record(run_dir).live:
            used.add(path)
    return used


def _is_named(path: Path, traces: bytes) -> bool:
    place = os.fsencode(path)
    mark = os.fsencode(f"{procfs.RUN_ID}={path.name}")
    return any(one + end in traces for one in (place, mark) for end in (b"\0", b"/"))


def _traces(pid: int) -> bytes:
    """The environment, the mappings and the open files of a process, as bytes to search in.

    POSIX locks do not show a process in another container, and heartbeat pages have no locks.
    """
    folder = Path(f"/proc/{pid}")
    parts = [procfs.read_environ(pid) or b""]
    with suppress(OSError):  # the process ended, or belongs to another user
        parts.append((folder / "maps").read_bytes())
        parts += (os.fsencode(fd.readlink()) for fd in (folder / "fd").iterdir())
    return b"\0".join([*parts, b""])


def _look(path: Path) -> Leftover:
    size = used_bytes(path)
    wholes = read_whole(snapshots_of(path))
    run_dir = _run_of(path)
    if not wholes:
        return Leftover(path, run_dir, size, None, "none")
    reason = None
    for whole in wholes:
        verdict = read_verdict(whole) or vet(whole, keep=False)
        if verdict is not None and verdict.problem is None and verdict.finite is not False:
            return _weigh(Leftover(path, run_dir, size, whole, "unknown"))
        found = None if verdict is None else verdict.problem or verdict.reason
        reason = reason or found or "the snapshot changed while it was read"
    return Leftover(path, run_dir, size, wholes[0], "useless", reason=reason)


def _weigh(leftover: Leftover) -> Leftover:
    """Complete a leftover's worth by comparing its snapshot with the checkpoints on the disk."""
    assert leftover.whole is not None
    snapshot = leftover.whole.snapshot
    if leftover.run_dir is not None:
        request = replace(request_of(leftover.run_dir), snapshots=None, quiet=True, thorough=False)
    else:
        # Without a supervisor a run has no id. Then each checkpoint in its directory counts as its
        # own.
        request = SurveyRequest(
            directory=Path(snapshot.directory),
            run_id=snapshot.run_id,
            existing="use" if snapshot.run_id is None else None,
            quiet=True,
            thorough=False,
        )
    try:
        found = survey(request)
    except OSError as error:
        reason = f"{request.directory} cannot be read: {error.strerror or error}"
        return replace(leftover, reason=reason)
    steps = [e.step for e in found.entries if e.candidate and is_resumable(e)]
    step = max((step for step in steps if step is not None), default=None)
    is_only = step is None or snapshot.step > step
    return replace(leftover, worth="only copy" if is_only else "on the disk", disk_step=step)


def _run_of(path: Path) -> Path | None:
    """The run directory that a directory in memory belongs to, where that can be found."""
    near = [Path(whole.snapshot.directory) for whole in read_whole(snapshots_of(path))]
    for run_dir in (*registered_directories(), *_runs_around(near)):
        if _run_id(RunPaths(run_dir)) == path.name:
            return run_dir
    return None


def _run_id(paths: RunPaths) -> str | None:
    """A run's id; a run that begins has it in its ledger before it has a status."""
    status = read_status(paths.status)
    if status is not None and status.run_id is not None:
        return status.run_id
    try:
        return read_history(paths)[0].run_id
    except OSError:
        return None


def _runs_around(directories: list[Path]) -> Iterator[Path]:
    for directory in dict.fromkeys(directories):
        yield from (place for place in (directory, *directory.parents) if is_run(place))
        yield from runs_below(directory.parent)
