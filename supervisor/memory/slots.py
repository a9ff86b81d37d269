"""Where the memory tier's two slots are, which process may touch one, and which is the newest.

A slot's lock is a POSIX record lock (fcntl(2)): it ends with its process however that dies, and
forked data-loader workers do not share it. Closing any descriptor of the lock file drops the lock,
so no other code of the process may open that file.
"""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from supervisor.checkpoint.staging import discard
from supervisor.memory.seal import (
    Seal,
    SealWriter,
    SlotState,
    Snapshot,
    read_left_behind,
    read_seal,
)
from supervisor.system.private_directory import make_private

SLOTS = 2
WRITING = "writing"
REMOVING = ".removing-"


class SnapshotPaths(NamedTuple):
    """The names in a snapshot directory (`SUPERVISOR_SNAPSHOT_DIR`)."""

    root: Path

    @property
    def wake(self) -> Path:
        """A FIFO: a byte in it makes the persister look."""
        return self.root / "wake"

    @property
    def writer_lock(self) -> Path:
        """Held by the one process that writes slots."""
        return self.root / "writer.lock"

    @property
    def persister_lock(self) -> Path:
        """Held by the one process that persists them."""
        return self.root / "persister.lock"

    @property
    def board(self) -> Path:
        """What the persister does and did, JSON, replaced whole."""
        return self.root / "persister.json"

    @property
    def rescue(self) -> Path:
        """The daemon's request that the newest snapshot be persisted, JSON."""
        return self.root / "rescue.json"

    def slot(self, index: int) -> "SlotPaths":
        """The names of one slot."""
        return SlotPaths(self.root / f"slot-{index}")

    @property
    def slots(self) -> tuple["SlotPaths", ...]:
        """Both slots."""
        return tuple(self.slot(index) for index in range(SLOTS))


class SlotPaths(NamedTuple):
    """The names in one slot."""

    folder: Path

    @property
    def seal(self) -> Path:
        """Whether the slot is whole, and of which snapshot (`seal.py`)."""
        return self.folder / "seal"

    @property
    def lock(self) -> Path:
        """Exclusive while it is written, shared while it is read."""
        return self.folder / "lock"

    @property
    def weights(self) -> Path:
        """Which bytes of its files are weights (`weights.py`)."""
        return self.folder / "weights.json"

    @property
    def verdict(self) -> Path:
        """The verdict on the snapshot of one sequence, JSON (`snapshot_proof.py`)."""
        return self.folder / "verdict.json"

    @property
    def writing(self) -> Path:
        """The checkpoint directory's name while the slot is not whole."""
        return self.folder / WRITING

    def checkpoint(self, snapshot: Snapshot) -> Path:
        """The checkpoint directory of a whole slot."""
        return self.folder / snapshot.name


class Whole(NamedTuple):
    """A slot that holds a whole snapshot."""

    slot: SlotPaths
    sequence: int
    snapshot: Snapshot

    @property
    def path(self) -> Path:
        """Its checkpoint directory."""
        return self.slot.checkpoint(self.snapshot)

    def is_unchanged(self) -> bool:
        """Whether the slot still holds this very snapshot: ask after reading without its lock."""
        seal = read_seal(self.slot.seal)
        return seal.state is SlotState.WHOLE and seal.sequence == self.sequence

    def is_left_behind(self) -> bool:
        """Whether the run went back behind it; False if only damaged, written over or vanished."""
        left = read_left_behind(self.slot.seal)
        return left is not None and left.sequence == self.sequence


def read_whole(root: Path) -> list[Whole]:
    """The whole snapshots of a directory, newest first; none where there is no directory."""
    found = []
    for slot in SnapshotPaths(root).slots:
        seal = read_seal(slot.seal)
        if seal.snapshot is not None:
            found.append(Whole(slot, seal.sequence, seal.snapshot))
    return sorted(found, key=lambda one: one.sequence, reverse=True)


def read_given_up(root: Path) -> list[Whole]:
    """The snapshots that the run went back behind, without those that `settle` has marked."""
    found = []
    for slot in SnapshotPaths(root).slots:
        left = read_left_behind(slot.seal)
        if left is not None and left.snapshot is not None:
            found.append(Whole(slot, left.sequence, left.snapshot))
    return found


def read_seals(root: Path) -> list[Seal]:
    """What the seals of all slots say."""
    return [read_seal(slot.seal) for slot in SnapshotPaths(root).slots]


def void(slot: SlotPaths, *, is_bad: bool = False) -> None:
    """Give up a slot's snapshot: the run goes back behind it, or (`is_bad`) it is damaged.

    No writer of the slot may be alive. Raises OSError.
    """
    if slot.seal.exists():
        seal = SealWriter(slot.seal)
        seal.void(is_bad=is_bad)
        seal.close()


def settle(whole: Whole) -> None:
    """Note that the disk was searched for a snapshot that was given up. Raises OSError."""
    if whole.slot.seal.exists():
        seal = SealWriter(whole.slot.seal)
        seal.settle(whole.sequence)
        seal.close()


def make_root(root: Path) -> SnapshotPaths:
    """Make a snapshot directory, 0700, with its FIFO. Raises OSError."""
    paths = SnapshotPaths(root)
    make_private(root)
    try:
        os.mkfifo(paths.wake, 0o600)
    except FileExistsError:
        return paths
    return paths


def remove_root(root: Path) -> None:
    """Remove a snapshot directory that no process needs. Raises OSError."""
    # Renamed first: a process that asks for a lock in it would make the lock file anew.
    target = root.with_name(f"{REMOVING}{root.name}")
    discard(target)
    root.rename(target)
    discard(target)


def wake(root: Path) -> bool:
    """Make the persister look; False if there is none."""
    try:
        fd = os.open(SnapshotPaths(root).wake, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fd, b"\n")
    except BlockingIOError:
        return True  # the FIFO is full of wake-ups
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


class Lock:
    """A POSIX record lock on a file of its own; open it once in a process.

    It is shared for readers, else exclusive. Taking it never waits.
    """

    def __init__(self, path: Path) -> None:
        """Open the lock file. Raises OSError."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def acquire(self, *, shared: bool = False) -> bool:
        """Take it; False if another process has it. Raises OSError."""
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.lockf(self._fd, kind | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            raise
        return True

    def release(self) -> None:
        """Let go of it."""
        fcntl.lockf(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of it and close the file."""
        # Whatever close(2) says, the descriptor is gone, and the lock with it.
        with suppress(OSError):
            os.close(self._fd)

    def __enter__(self) -> "Lock":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def is_locked(path: Path) -> bool:
    """Whether another process holds a lock. Never ask for this process's own: that drops it."""
    try:
        lock = Lock(path)
    except OSError:
        return False
    with lock:
        return not lock.acquire(shared=False)
