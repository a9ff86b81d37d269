"""What is set aside: out of the trainers' sight, with the reason, never deleted here.

A folder that takes it is a root; on it stand the shelves `invalid` and `superseded`.
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
# Another process may remove a folder that it finds empty, between our making and our using it.
MOST_TRIES = 10


def roots_of(directory: Path, run_root: Path | None = None) -> tuple[Path, ...]:
    """Where what a checkpoint directory held may stand, in the order in which it is tried.

    `run_root`: the run directory's. Then beside the directory, by its resolved name: trainers
    refuse an output directory that holds a name of ours (transformers' `run_clm.py`: "already
    exists and is not empty"). Inside it last, where a rename always gets to. Which one takes a
    rename is only known when it was tried: a bind mount of one file system gives EXDEV. A link
    in the name of one is none: it leads to what is not ours.
    """
    real = Path(os.path.realpath(directory))
    beside = real.with_name(f".{real.name}{SET_ASIDE}") if real.name else None
    roots = [run_root, None if beside is None or _is_strangers(beside) else beside]
    roots.append(directory / SET_ASIDE)
    return tuple(root for root in roots if root is not None and not is_no_folder(root))


def is_no_folder(path: Path) -> bool:
    """Whether something has the name of a root or a shelf and is none: a link, a file."""
    try:
        return not stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _is_strangers(beside: Path) -> bool:
    """Whether another user has laid it there, where everybody may: in /tmp."""
    try:
        there, above = beside.lstat(), beside.parent.stat()
    except OSError:
        return False
    return there.st_uid != os.geteuid() and bool(above.st_mode & stat.S_IWOTH)


def put_aside(
    source: Path, shelf: str, reason: str, *, name: str | None = None, roots: Sequence[Path] = ()
) -> Path:
    """Move a checkpoint onto a shelf, durably; returns where it is now.

    `roots` are tried in turn; without them, inside its own directory: a writer of checkpoints has
    one there that is its own. Where that is a link, beside the directory. `name`: what it is
    called there, if not as here. A taken name gets a number. A kill between any two calls leaves
    the checkpoint in one of the two places, whole.
    Raises OSError, FileNotFoundError if the checkpoint is gone.
    """
    source.lstat()
    inside = source.parent / SET_ASIDE
    if not roots and is_no_folder(inside):
        roots = roots_of(source.parent)
    *others, last = roots or (inside,)
    for root in others:
        # Another file system, another user's directory, one that is read-only: the next.
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
    """Undo `put_aside`. Raises OSError."""
    rename_durably(place, target)
    forget(place)


def forget(place: Path) -> None:
    """Remove the reason of what stands on a shelf no more, and the folders if they are empty."""
    _reason_path(place).unlink(missing_ok=True)
    remove_if_empty(place.parent, place.parent.parent)


def read_reason(place: Path) -> str | None:
    """Why something stands on a shelf; None if its reason file is not there."""
    try:
        # A pipe of that name must not hang whoever lists the shelf.
        fd = os.open(_reason_path(place), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        return os.read(fd, _MOST_REASON_BYTES).decode(errors="replace").strip()
    except OSError:  # a directory of that name, or an empty pipe
        return None
    finally:
        os.close(fd)


def remove_if_empty(*folders: Path) -> None:
    """Remove each folder in turn in which nothing is."""
    for one in folders:
        with contextlib.suppress(OSError):  # not there, or not empty: others stand there
            one.rmdir()


def make(root: Path, *below: str) -> None:
    """Make a root and a shelf on it, durably; what it stands in has to be there.

    Raises OSError, also where a link has the name of either.
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
    raise FileExistsError(errno.EEXIST, "too many of this name were set aside", str(folder / name))


def _write_reason(target: Path, reason: str) -> None:
    fd = os.open(_reason_path(target), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, f"{reason}\n".encode())
        os.fsync(fd)
    except OSError as error:
        # A full disk is no reason to leave a bad checkpoint where it is found; the ledger has
        # the reason too.
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
    finally:
        os.close(fd)


def _reason_path(place: Path) -> Path:
    return place.with_name(place.name + REASON_SUFFIX)
