"""Putting one snapshot onto the disk as a committed checkpoint, as fast as the disk takes it."""

import errno
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from supervisor.checkpoint.commit import CheckpointWriter, clean_staging
from supervisor.checkpoint.listing import FileListing
from supervisor.checkpoint.set_aside import put_back
from supervisor.memory.checksums import DamagedError
from supervisor.memory.persisted import Persisted, find_persisted, withdraw
from supervisor.memory.seal import Snapshot
from supervisor.memory.slots import Whole
from supervisor.memory.snapshot_proof import SlotVerdict, keep_verdict
from supervisor.memory.stream import Done, SnapshotStream, list_files_of, sizes_of
from supervisor.memory.weights import read_weights
from supervisor.system.durable import fsync_directory

_GIVEN_UP = "the snapshot was given up while it was persisted"


def persist(whole: Whole, *, progress: Callable[[int], None] | None = None) -> Persisted:
    """Copy a snapshot to its checkpoint directory; the caller may pin the slot by its shared lock.

    `progress` is told the bytes written so far. Raises OSError (ENOSPC, EIO, EFBIG, …), and
    ValueError for a snapshot that is no checkpoint, or that was given up or overwritten meanwhile.
    Then nothing stays on the disk, and a next call begins from scratch.
    """
    began = time.monotonic()
    there = find_persisted(whole)
    if there is not None:
        return there
    seal = _inode_of(whole.slot.seal)
    try:
        stock = list_files_of(whole)
        weights = read_weights(whole.slot, sizes_of(stock))
        with writer_for(whole.snapshot) as writer:
            stream = SnapshotStream(stock, weights)
            _require_space(writer.path, stock)
            _write_all(writer, stream, progress)
            writer.finite = stream.finite
            for name in whole.snapshot.before:
                sync_file(Path(name))
            if not whole.is_unchanged():
                raise ValueError(_GIVEN_UP)
            path = writer.commit()
            if whole.is_left_behind() and _inode_of(whole.slot.seal) == seal:
                # Syncing takes a while, and the daemon may have given the snapshot up meanwhile:
                # the next attempt must not be resumed from it. The daemon gives up first, and
                # looks on the disk then. So either the daemon finds the checkpoint, or this check
                # finds the seal. If the slot could not be pinned, the next attempt may be writing
                # it already. The checkpoint stays if the slot vanished, or was damaged after it
                # was read.
                withdraw(whole)
                if writer.superseded is not None and not os.path.lexists(path):
                    # the earlier checkpoint of this name, from before the run went back
                    put_back(writer.superseded, path)
                raise ValueError(_GIVEN_UP)
    except DamagedError as error:
        keep_verdict(whole, SlotVerdict(None, None, str(error)))
        raise
    keep_verdict(whole, SlotVerdict(stream.finite, stream.reason, None))
    return Persisted(path, stock.total_bytes, time.monotonic() - began, stream.finite)


def _inode_of(path: Path) -> int | None:
    """The inode of the file at a path; None if there is none."""
    try:
        return path.lstat().st_ino
    except OSError:
        return None


def writer_for(snapshot: Snapshot) -> CheckpointWriter:
    """Make the writer of the checkpoint that a snapshot describes. Raises OSError, ValueError.

    Files of an unfinished checkpoint that an earlier writer left are removed.
    """
    parent = Path(snapshot.directory)
    if not parent.is_absolute():
        raise ValueError(
            f"{snapshot.directory!r} is not the absolute path of a checkpoint directory"
        )
    # The files that a killed persister left would fill the disk for the next one.
    clean_staging(parent)
    return CheckpointWriter(
        parent,
        snapshot.name,
        step=snapshot.step,
        epoch=snapshot.epoch,
        kind=snapshot.kind,
        run_id=snapshot.run_id,
        attempt=snapshot.attempt,
        resumed_from=snapshot.resumed_from,
        world_size=snapshot.world_size,
        torch_version=snapshot.torch_version,
        wall=snapshot.written,
    )


def _write_all(
    writer: CheckpointWriter, stream: SnapshotStream, progress: Callable[[int], None] | None
) -> None:
    done = 0
    fd = -1
    try:
        for part in stream:
            if fd < 0:
                fd = _create(writer.path, part.name)
            if isinstance(part, Done):
                os.close(fd)
                fd = -1
                writer.vouch(part.name, part.record)
                continue
            data = part.data
            while data:
                data = data[os.write(fd, data) :]
            # This starts the write-back. It drops no pages, since all are dirty. So the disk works
            # while the next chunk is prepared.
            os.posix_fadvise(fd, part.offset, len(part.data), os.POSIX_FADV_DONTNEED)
            done += len(part.data)
            if progress is not None:
                progress(done)
    finally:
        if fd >= 0:
            os.close(fd)


def _create(folder: Path, name: str) -> int:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


def _require_space(folder: Path, stock: FileListing) -> None:
    """Raise ENOSPC at once rather than after the last free byte of a disk was taken."""
    found = os.statvfs(folder)
    if found.f_blocks and found.f_bfree * found.f_frsize < stock.total_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def sync_file(path: Path) -> None:
    """Make a file durable that a checkpoint depends on; a file that is gone is passed over."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            os.fsync(fd)
    finally:
        os.close(fd)
    fsync_directory(path.parent)
