"""Owner marks: a file beside a checkpoint directory, or in it, names the run that saves there.

Two runs that save into one directory would resume from each other's checkpoints, and prune them.
This module reads and writes the marks. It does not judge whether a mark still counts.
"""

import contextlib
import getpass
import json
import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from supervisor.checkpoint import moved_mark
from supervisor.checkpoint.proofs.bounded_json import parse
from supervisor.system.clock import rfc3339, wall_s
from supervisor.system.durable import create_durably, rename_durably, stage_for, write_new
from supervisor.system.identity import machine_id
from supervisor.system.mounts import mount_point, mount_points

SUFFIX = ".supervised-by"
_MOST_BYTES = 64 << 10
# Other users have to see whose the directory is. The mark holds no secret.
_MODE = 0o644


@dataclass(frozen=True, slots=True)
class OwnerMark:
    """The run that saves into a directory, and the run directory that shows if it still exists."""

    run_id: str
    name: str
    run_dir: str
    """Absolute, links resolved."""
    mount: str | None
    """Where the file system of `run_dir` was mounted; None if that was not known."""
    host: str
    machine_id: str
    user: str
    uid: int
    since: str
    """When the run first marked the directory, RFC 3339. For people only: no age decides."""
    inode: int | None = None
    """The directory's inode, if the mark lies in it: a mount may give it another name."""

    def is_here(self) -> bool:
        """Whether the mark was made on this machine."""
        return self.machine_id == machine_id() and self.host == socket.gethostname()

    def is_like(self, other: "OwnerMark") -> bool:
        """Whether two marks say the same, apart from `since` and `inode`."""
        return replace(self, since="", inode=None) == replace(other, since="", inode=None)

    def describe(self) -> str:
        """For a message: `the run 'gpt' (/data/runs/gpt)`."""
        return f"the run {self.name!r} ({_on_one_line(self.run_dir)})"

    def describe_fully(self) -> str:
        """Like `describe`, followed by `, of me on gpu01, 2026-01-02T03:04:05.678Z`."""
        return f"{self.describe()}, of " + _on_one_line(f"{self.user} on {self.host}, {self.since}")

    def to_json(self) -> bytes:
        """The file's content."""
        return json.dumps(asdict(self), indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> "OwnerMark":
        """Read a mark from a file's content. Ignores keys of later versions. Raises ValueError."""
        body = parse(data)
        if not isinstance(body, dict):
            raise ValueError("it holds no JSON object")
        known: dict[str, Any] = {field.name: body.get(field.name) for field in fields(cls)}
        for key in ("run_id", "name", "run_dir", "host", "machine_id", "user", "since"):
            if not isinstance(known[key], str):
                raise ValueError(f"it has no valid {key}")
        run_dir = known["run_dir"]
        if not known["run_id"] or not Path(run_dir).is_absolute() or "\0" in run_dir:
            raise ValueError("it does not name a run and its run directory")
        if not isinstance(known["uid"], int) or not isinstance(known["inode"], int | None):
            raise ValueError("its user or inode is not valid")
        if not isinstance(known["mount"], str | None):
            raise ValueError("its mount is not valid")
        return cls(**known)


@dataclass(frozen=True, slots=True)
class MarkFile:
    """A mark's file as it was found. If unreadable, `mark` is None and `problem` says why."""

    path: Path
    mark: OwnerMark | None
    problem: str | None
    identity: tuple[int, int, int] | None
    """Inode, mtime in nanoseconds, size: a rename keeps them. None: `lstat` failed."""

    def is_still(self, path: Path) -> bool:
        """Whether `path` is the file that was read; True if that is not known. Raises OSError."""
        return self.identity is None or self.identity == _identity(path.lstat())


def mark_of(run_id: str, name: str, run_dir: Path) -> OwnerMark:
    """Return the mark that this process would write for a run."""
    place = os.path.realpath(run_dir)
    mount = mount_point(Path(place))
    return OwnerMark(
        run_id, name, place, None if mount is None else str(mount),
        socket.gethostname(), machine_id(), _user(), os.getuid(), rfc3339(wall_s()),
    )  # fmt: skip


def _user() -> str:
    """The user's name, for people."""
    # The environment is asked first: a directory service may not answer for minutes.
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        return str(os.getuid())


def resolved(directory: Path) -> Path:
    """Return the directory's path with all links resolved."""
    return Path(os.path.realpath(directory))


def beside(directory: Path) -> Path:
    """The mark's place beside a resolved directory."""
    return directory.parent / f".{directory.name}{SUFFIX}"


def inside(directory: Path) -> Path:
    """The mark's place in a resolved directory."""
    return directory / f".{directory.name}{SUFFIX}"


def is_mount_root(directory: Path) -> bool:
    """Whether a resolved directory is a mount point: a mark beside it is outside the mount."""
    # `ismount` compares devices. A bind mount within one file system has its parent's device.
    return os.path.ismount(directory) or directory in (mount_points() or ())


def find(directory: Path) -> tuple[MarkFile, ...]:
    """Return the marks of a resolved directory, beside it and in it. Never raises, never waits.

    If a mark's place is empty, the marks that were moved aside from it are returned too.
    """
    named: list[MarkFile | None] = []
    for place in (beside(directory), inside(directory)):
        there = read(place)
        named += [there] if there is not None else map(read, moved_mark.moved_from(place))
    found = [one for one in named if one is not None and _may_be_of(one, directory)]
    others = (one for one in map(read, _others_inside(directory)) if one is not None)
    found += [one for one in others if _is_of(one, directory)]
    return tuple(found)


def _may_be_of(found: MarkFile, directory: Path) -> bool:
    """Whether a mark with this directory's name is its own.

    The mark beside `ckpt/ckpt` lies in `ckpt`, and has the name of a mark inside `ckpt`.
    """
    if found.mark is None:
        return True
    if found.mark.inode is not None:
        return _is_of(found, directory)
    return found.path.parent != directory or not os.path.lexists(directory / directory.name)


def _others_inside(directory: Path) -> Iterator[Path]:
    """Yield the marks in a directory under other names: it may have had another name before."""
    try:
        with os.scandir(directory) as entries:
            paths = [directory / e.name for e in entries if e.name[0] == "." and SUFFIX in e.name]
    except OSError:
        return
    for path in sorted(paths):
        place = moved_mark.place_of(path)
        is_moved = place is not None and place not in paths
        if (is_moved or path.name.endswith(SUFFIX)) and inside(directory) not in (path, place):
            yield path


def _is_of(found: MarkFile, directory: Path) -> bool:
    """Whether a mark in a directory has the directory's inode. Else it may be a subdirectory's."""
    if found.mark is None or found.mark.inode is None:
        return False
    try:
        return directory.stat().st_ino == found.mark.inode
    except OSError:
        return False


def read(path: Path) -> MarkFile | None:
    """Read a mark; None if there is none. A link or a pipe in its place gives a `problem`."""
    identity = None
    try:
        at = path.lstat()
        identity = _identity(at)
        if not stat.S_ISREG(at.st_mode):
            return MarkFile(path, None, "it is not a file", identity)
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            data = os.read(fd, _MOST_BYTES)
        finally:
            os.close(fd)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return MarkFile(path, None, error.strerror or str(error), identity)
    try:
        return MarkFile(path, OwnerMark.from_json(data), None, identity)
    except ValueError as error:
        return MarkFile(path, None, f"the mark is damaged: {error}", identity)


def _on_one_line(text: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in text)


def _identity(at: os.stat_result) -> tuple[int, int, int]:
    return at.st_ino, at.st_mtime_ns, at.st_size


def make(path: Path, mark: OwnerMark) -> bool:
    """Write a mark into a free place, atomically and durably. Raises OSError.

    False if another process was quicker.
    """
    try:
        made = create_durably(path, mark.to_json(), mode=_MODE)
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise
        return False  # another maker's `_tidy` removed our temporary file
    _tidy(path)
    return made


def renew(path: Path, mark: OwnerMark) -> None:
    """Replace the run's own mark. Raises OSError; the old or the new mark is in place then."""
    stage = stage_for(path)
    write_new(stage, mark.to_json(), mode=_MODE)
    try:
        rename_durably(stage, path)
    finally:
        stage.unlink(missing_ok=True)


def replace_other(found: MarkFile, mark: OwnerMark) -> bool:
    """Replace a mark that was judged. False if another process changed it in the meantime.

    If several runs judged the same mark, only one gets the place. A mark that was found moved aside
    is put back, and the answer is False. Raises OSError; a mark is then in the place, or aside,
    and `find` finds it.
    """
    path = found.path
    if moved_mark.place_of(path) is not None:
        moved_mark.put_back(path)
        return False
    aside = moved_mark.aside_of(path)
    try:
        path.rename(aside)
        is_still = found.is_still(aside)
    except FileNotFoundError:
        return False  # another run had it first, or put it back
    if not is_still:
        # The mark was made after the judgement. It goes back, unless a third run has the place.
        moved_mark.restore(aside, path)
        return False
    try:
        made = make(path, mark)
    except OSError:
        moved_mark.restore(aside, path)
        raise
    moved_mark.drop(aside)
    return made


def put_back(found: MarkFile) -> bool:
    """Put back a mark that was moved aside. True if it is no longer aside. Never raises."""
    if moved_mark.place_of(found.path) is None:
        return False
    with contextlib.suppress(OSError):
        moved_mark.put_back(found.path)
    return not os.path.lexists(found.path)


def _tidy(path: Path) -> None:
    """Remove what killed makers left. A living maker whose file is removed tries again."""
    moved_mark.drop_old(path)
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            if entry.name.startswith(f"{path.name}.tmp-"):
                Path(entry.path).unlink(missing_ok=True)
