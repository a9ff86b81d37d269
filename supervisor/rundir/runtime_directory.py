"""The run's private directory in memory: heartbeats and survey files; nothing in it must survive.

A page on a slow disk can block the process that it should prove alive, hence tmpfs.
"""

import shutil
from pathlib import Path

from supervisor.system.mounts import filesystem_type
from supervisor.system.private_directory import is_ours_alone, make_private, shared_name

SHARED_MEMORY = Path("/dev/shm")
PLACE = "place"


class RuntimeDirectory:
    """`/dev/shm/train-supervisor-<uid>/<run id>/`, 0700; below .supervisor/ if that is unusable."""

    def __init__(self, run_id: str, fallback: Path) -> None:
        """Make the directory. Raises OSError where neither place can be made."""
        self.path = _private(SHARED_MEMORY / shared_name(), run_id)
        if self.path is None or not _is_writable(self.path):
            self.path = fallback / "runtime"
            make_private(self.path)

    path: Path | None

    @property
    def root(self) -> Path:
        """The directory, which `__init__` has made."""
        assert self.path is not None
        return self.path

    @property
    def is_in_memory(self) -> bool:
        """Whether heartbeats cost no disk."""
        return filesystem_type(self.root) == "tmpfs"

    def claim(self, state_dir: Path) -> None:
        """Note whose run directory uses it: a copied one has the same run id. Raises OSError."""
        (self.root / PLACE).write_text(str(state_dir.resolve()))

    def heartbeat_dir(self, attempt: int) -> Path:
        """Where the pages of an attempt are; each attempt has its own, so none is ever stale."""
        return self.root / f"attempt-{attempt:04d}"

    @property
    def snapshot_dir(self) -> Path:
        """Where the trainer may keep snapshots in memory."""
        return self.root / "snapshots"

    def begin_attempt(self, attempt: int) -> Path:
        """Make the attempt's directory anew and remove those of earlier ones. Raises OSError."""
        for old in self.root.glob("attempt-*"):
            shutil.rmtree(old, ignore_errors=True)
        make_private(self.snapshot_dir)
        folder = self.heartbeat_dir(attempt)
        folder.mkdir(mode=0o700)
        return folder

    def repair(self, attempt: int) -> None:
        """Make directories again that were removed under a running attempt. Raises OSError."""
        for folder in (self.snapshot_dir, self.heartbeat_dir(attempt)):
            make_private(folder)

    def remove(self, *, but_snapshots: bool = False) -> None:
        """Remove the directory after the run; `but_snapshots`: keep snapshots that no disk has."""
        if not but_snapshots:
            shutil.rmtree(self.root, ignore_errors=True)
            return
        for path in self.root.iterdir():
            if path != self.snapshot_dir:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()


def _private(parent: Path, name: str) -> Path | None:
    # All users share /dev/shm: a directory that another user made there first is not used.
    try:
        parent.mkdir(mode=0o700, exist_ok=True)
        if not is_ours_alone(parent):
            return None
        path = parent / name
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return None
    return path


def _is_writable(path: Path) -> bool:
    probe = path / ".probe"
    try:
        probe.write_bytes(b"x" * 4096)
        probe.unlink()
    except OSError:
        return False
    return True
