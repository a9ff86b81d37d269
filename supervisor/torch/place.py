"""Where snapshots are kept without a supervisor: a place for each checkpoint directory."""

import hashlib
import os
import time
from pathlib import Path

from supervisor.memory.persist import persist
from supervisor.memory.slots import (
    Lock,
    SnapshotPaths,
    is_locked,
    read_whole,
    remove_root,
)
from supervisor.system.private_directory import is_ours_alone, shared_name

SHARED_MEMORY = Path("/dev/shm")
_POLL_S = 0.02


def own_root(directory: Path) -> tuple[Path, str | None]:
    """The snapshot directory of a checkpoint directory, the same each time, and why it is unusable.

    The reason is that there is no shared memory, or that another user has made the place. It is
    None if the directory can be used.
    """
    parent = SHARED_MEMORY / shared_name()
    where = os.fsencode(os.path.realpath(directory))
    root = parent / f"own-{hashlib.blake2b(where, digest_size=8).hexdigest()}"
    try:
        parent.mkdir(mode=0o700, exist_ok=True)
        is_ours = is_ours_alone(parent)
    except OSError as error:
        return root, f"no snapshots in memory: {error.strerror} ({parent})"
    if not is_ours:
        return root, f"no snapshots in memory: {parent} is not this user's alone"
    return root, None


def settle(directory: Path | str) -> list[str]:
    """Persist the newest snapshot that a dead trainer of this checkpoint directory left in memory.

    Call it before the newest checkpoint is looked for. If the dead trainer's persister still works
    on that, this waits for it. Returns what could not be done, in words.
    """
    root, refusal = own_root(Path(directory))
    if refusal is not None or not root.is_dir():
        return []
    paths = SnapshotPaths(root)
    problems: list[str] = []
    if is_locked(paths.writer_lock):
        return problems  # its trainer lives, and goes on by itself
    while is_locked(paths.persister_lock):
        time.sleep(_POLL_S)
    if not root.is_dir():
        return problems
    with Lock(paths.persister_lock) as lock:
        if not lock.acquire():
            return problems
        for whole in read_whole(root)[:1]:
            try:
                persist(whole)
            except (OSError, ValueError) as error:
                problems.append(f"{whole.path} stays in memory: {error}")
        if not problems and not is_locked(paths.writer_lock):
            remove_root(root)
    return problems
