"""Sets checkpoints aside: out of the trainers' sight, each beside a file that gives the reason.

A root is a folder for what was set aside. It holds the shelves `invalid` and `superseded`. This
module never deletes a checkpoint.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from supervisor.checkpoint.layout import SET_ASIDE
from supervisor.system.durable import make_durably, rename_durably

INVALID = "invalid"
SUPERSEDED = "superseded"
REASON_SUFFIX = ".reason.txt"
_MOST_OF_A_NAME = 10_000
_MOST_REASON_BYTES = 64 << 10
# Another process may remove an empty folder after this process made it and before it is used.
MOST_TRIES = 10


def roots_of(directory: Path, run_root: Path | None = None) -> tuple[Path, ...]:
    """The roots for what a checkpoint directory held, in the order in which they are tried.

    `run_root`, the run directory's root, comes first. The second root stands beside the checkpoint
    directory and is named after its resolved path: trainers refuse an output directory that holds a
    folder of ours (transformers' `run_clm.py`: "already exists and is not empty"). The last root is
    inside the checkpoint directory, because a rename always reaches it. Only a try shows whether a
    rename reaches a root: a bind mount of the same file system gives EXDEV. A link with the name of
    a root is left out, because it leads to a place that is not ours.
    """
    real = Path(os.path.realpath(directory))
    beside = real.with_name(f".{real.name}{SET_ASIDE}") if real.name else None
    roots = [run_root, None if beside is None or _is_strangers(beside) else beside]
    roots.append(directory / SET_ASIDE)
    return tuple(root for root in roots if root is not None and not is_no_folder(root))


def is_no_folder(path: Path) -> bool:
    """Whether the path of a root or a shelf holds something that is no folder: a link, a file."""
    try:
        return not stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _is_strangers(beside: Path) -> bool:
    """Whether another user made this folder where everybody may write, as in /tmp."""
    try:
        there, above = beside.lstat(), beside.parent.stat()
    except OSError:
        return False
    return there.st_uid != os.geteuid() and bool(above.st_mode & stat.S_IWOTH)


def put_aside(
    source: Path, shelf: str, reason: str, *, name: str | None = None, roots: Sequence[Path] = ()
) -> Path:
    """Move a checkpoint onto a shelf, durably; returns its new path.

    `roots` are tried in turn. Without them the root is inside the checkpoint's directory: a writer
    of checkpoints may put a root into its own directory. If a link or a file has that root's name,
    the root is beside the directory. `name`: the checkpoint's name on the shelf, by default the
    present one. If the shelf has that name already, a number is appended. If the process is killed
    at any time, the whole checkpoint is in one of the two places.
    Raises OSError; FileNotFoundError if the checkpoint is gone.
    """
    source.lstat()
    inside = source.parent / SET_ASIDE
    if not roots and is_no_folder(inside):
        roots = roots_of(source.parent)
    *others, last = roots or (inside,)
    for root in others:
        # A rename fails if the root is another user's, read-only, or on another file system.
        with contextlib.suppress(OSError):
            return _put_onto(root / shelf, source, name or source.name, reason)
        source.lstat()
    return _put_onto(last / shelf, source, name or source.name, reason)


def _put_onto(folder: Path, source: Path, name: str, reason: str) -> Path:
    target: Path | None = None
    try:
        target = _reserve(folder, name)
        _write_reason(target, reason)
        rename_durably(source, target)
    except BaseException:
        if target is not None:
            if os.path.lexists(target) and not os.path.lexists(source):
                target.rename(source)
            _reason_path(target).unlink(missing_ok=True)
        remove_if_empty(folder, folder.parent)
        raise
    return target


def put_back(place: Path, target: Path) -> None:
    """Move a checkpoint from its shelf back to `target`, and `forget` it. Raises OSError."""
    rename_durably(place, target)
    forget(place)


def forget(place: Path) -> None:
    """Remove the reason file of a checkpoint that left its shelf, and shelf and root if empty.

    Raises OSError if the reason file cannot be removed.
    """
    _reason_path(place).unlink(missing_ok=True)
    remove_if_empty(place.parent, place.parent.parent)


def read_reason(place: Path) -> str | None:
    """The reason why a checkpoint was set aside; None if its reason file cannot be read."""
    try:
        # A pipe of that name must not hang a process that lists the shelf.
        fd = os.open(_reason_path(place), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        return os.read(fd, _MOST_REASON_BYTES).decode(errors="replace").strip()
    except OSError:  # the name is that of a directory, or of an empty pipe
        return None
    finally:
        os.close(fd)


def remove_if_empty(*folders: Path) -> None:
    """Remove each of these folders, in this order, if it is empty."""
    for one in folders:
        with contextlib.suppress(OSError):  # it is absent, or something else is in it
            one.rmdir()


def make(root: Path, *below: str) -> None:
    """Make a root, and the shelf in it that `below` names, durably.

    Raises OSError, also if the root's parent is missing or a link has the name of root or shelf.
    """
    if not root.parent.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(root.parent))
    for one in (root, root.joinpath(*below)):
        if is_no_folder(one):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(one))
    make_durably(root.joinpath(*below))


def _reserve(folder: Path, name: str) -> Path:
    for tries_left in reversed(range(MOST_TRIES)):
        try:
            make(folder.parent, folder.name)
            return _take_name(folder, name)
        except FileNotFoundError:  # the folder was removed while it was empty
            if not tries_left:
                raise
    raise AssertionError("unreachable")


def _take_name(folder: Path, name: str) -> Path:
    """Claim a free name by creating its reason file: rename(2) would replace a file silently."""
    for number in range(1, _MOST_OF_A_NAME):
        target = folder / (name if number == 1 else f"{name}.{number}")
        if os.path.lexists(target):
            continue
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            os.close(os.open(_reason_path(target), flags, 0o644))
        except FileExistsError:
            continue
        return target
    raise FileExistsError(
        errno.EEXIST, "too many checkpoints of this name were set aside", str(folder / name)
    )


def _write_reason(target: Path, reason: str) -> None:
    fd = os.open(_reason_path(target), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, f"{reason}\n".encode())
        os.fsync(fd)
    except OSError as error:
        # A bad checkpoint is set aside even if the disk is full, so that no trainer finds it.
        # The ledger has the reason too.
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
    finally:
        os.close(fd)


def _reason_path(place: Path) -> Path:
    return place.with_name(place.name + REASON_SUFFIX)
