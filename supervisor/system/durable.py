"""The one way to write a file that must survive a crash; nothing else may write such files."""

import errno
import os
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
# The errors of a file system or kernel that cannot exchange names (renameat2(2)): NFS, old Lustre.
_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM)
# vfat, exFAT and some FUSE file systems know no hard links (link(2)).
NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EMLINK)


def fsync_directory(path: Path) -> None:
    """Make the names in a directory durable. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_durably(folder: Path, *, mode: int = 0o777) -> None:
    """Make a directory and those above it that are missing, each name durable. Raises OSError."""
    if not folder.is_dir():
        make_durably(folder.parent)
        folder.mkdir(mode=mode, exist_ok=True)
        fsync_directory(folder.parent)


def rename_durably(source: Path, target: Path) -> None:
    """Rename and make it durable in both directories. Raises OSError."""
    source.rename(target)
    fsync_directory(target.parent)
    if source.parent != target.parent:
        fsync_directory(source.parent)


def exchange(one: Path, other: Path) -> bool:
    """Exchange the things that two names stand for, at once; False where the file system cannot.

    Neither name is ever missing, whichever process dies at whatever time. Raises OSError.
    """
    import ctypes  # 1 MB that only few processes need

    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    names = os.fsencode(one), os.fsencode(other)
    if call(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT:
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))


def replace_file(
    path: Path, data: bytes, *, mode: int = 0o600, sync: bool = True, stage: Path | None = None
) -> None:
    """Write `data` beside `path` and rename it there: readers see the old or the new, never half.

    Without `sync` the file is atomic for readers but may be lost in a power cut. That is for files
    that only mirror other records (`status.json`). `stage`: a free name, for a directory
    that is not ours. The file then gets exactly `mode`, whatever the umask. Raises OSError and
    leaves no stage.
    """
    is_ours = stage is None
    stage = stage or path.parent / f".{path.name}.tmp-{os.getpid()}"
    how = os.O_TRUNC if is_ours else os.O_EXCL | os.O_NOFOLLOW
    fd = os.open(stage, os.O_WRONLY | os.O_CREAT | how | os.O_CLOEXEC, mode)
    try:
        _write_and_close(fd, data, mode=None if is_ours else mode, sync=sync)
        stage.rename(path)
    except OSError:
        stage.unlink(missing_ok=True)
        raise
    if sync:
        fsync_directory(path.parent)


def replace_link(path: Path, target: str, stage: Path) -> None:
    """Let a link point to `target`, at once and durably; `stage` as in `replace_file`. OSError."""
    stage.symlink_to(target)
    try:
        stage.rename(path)
    except OSError:
        stage.unlink(missing_ok=True)
        raise
    fsync_directory(path.parent)


def write_durably(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write, flush, fsync, rename, fsync the directory. Raises OSError; the old file stays then."""
    replace_file(path, data, mode=mode, sync=True)


def stage_for(path: Path) -> Path:
    """A name beside `path` that no other process uses, on this machine or another."""
    return path.with_name(f"{path.name}.tmp-{os.getpid()}-{os.urandom(4).hex()}")


def write_new(path: Path, data: bytes, *, mode: int) -> None:
    """Write a file that is not there yet, with `mode` whatever the umask, and sync it.

    Raises OSError, FileExistsError where it is there, and leaves no part of it.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, mode)
    try:
        _write_and_close(fd, data, mode=mode, sync=True)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _write_and_close(fd: int, data: bytes, *, mode: int | None, sync: bool) -> None:
    """Write all of `data` into an open file; `mode` is set whatever the umask."""
    try:
        if mode is not None:
            os.fchmod(fd, mode)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


def create_durably(path: Path, data: bytes, *, mode: int) -> bool:
    """Create `path` whole and at once, also on NFS; False where it is there already.

    Without hard links a reader may see it before it is whole. Raises OSError.
    """
    stage = stage_for(path)
    write_new(stage, data, mode=mode)
    try:
        os.link(stage, path, follow_symlinks=False)
    except FileExistsError:
        # NFS may repeat a call that was carried out: a second link proves that it was (open(2)).
        if stage.stat().st_nlink < 2:
            return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        try:
            write_new(path, data, mode=mode)
        except FileExistsError:
            return False
    finally:
        stage.unlink(missing_ok=True)
    fsync_directory(path.parent)
    return True
