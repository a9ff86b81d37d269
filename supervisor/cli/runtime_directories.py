"""Finds the directories where this user's runs keep what a reboot may erase. It changes nothing.

Everybody may write to /dev/shm. So a directory is believed only if it belongs to this user and
nobody else may write to it.
"""

from pathlib import Path

from supervisor.core.status import SnapshotStatus
from supervisor.memory.slots import Whole, read_whole
from supervisor.memory.space import used_bytes
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.runtime_directory import SHARED_MEMORY
from supervisor.system.clock import wall_s
from supervisor.system.private_directory import is_believable, shared_name


def runtime_parent() -> Path | None:
    """`/dev/shm/train-supervisor-<uid>`; None where it is missing or not to be believed."""
    path = SHARED_MEMORY / shared_name()
    return path if is_believable(path) else None


def snapshot_root(paths: RunPaths, run_id: str | None) -> Path | None:
    """A run's snapshot directory; None where there is none."""
    if not run_id or "/" in run_id or run_id.startswith("."):
        return None
    parent = runtime_parent()
    places = [] if parent is None else [parent / run_id]
    for place in (*places, paths.state_dir / "runtime"):
        root = place / "snapshots"
        if is_believable(place) and root.is_dir():
            return root
    return None


def snapshot_facts(root: Path | None) -> SnapshotStatus | None:
    """What `status` says of the memory tier while no supervisor has the run.

    None without a snapshot.
    """
    wholes: list[Whole] = [] if root is None else read_whole(root)
    if root is None or not wholes:
        return None
    newest = wholes[0].snapshot
    return SnapshotStatus(
        step=newest.step,
        age_s=round(max(wall_s() - newest.written, 0.0), 2),
        bytes=newest.bytes,
        slots=len(wholes),
        tmpfs_bytes=used_bytes(root),
    )
