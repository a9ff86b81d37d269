"""The files of a checkpoint, by stat alone. An unchanged fingerprint saves reading them again."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from supervisor.checkpoint.digest import open_inside
from supervisor.checkpoint.formats.name_rule import CheckpointName
from supervisor.checkpoint.proofs.bounded_json import parse
from supervisor.system.clock import wall_s

# A file system may give two writes the same time if they fall into one tick of its clock (FAT and
# some network file systems: 2 s). A remembered verdict on younger files could outlive a change.
YOUNG_S = 2.0
_MOST_FILES = 100_000
_MOST_LEVELS = 16
_MOST_OBJECT_BYTES = 32 << 20


class FileFacts(NamedTuple):
    """One name inside a checkpoint, not followed if it is a link. Times in ns since 1970."""

    mode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @property
    def is_regular(self) -> bool:
        """Whether it is a plain file."""
        return stat.S_ISREG(self.mode)


class FileListing(NamedTuple):
    """All files of one checkpoint: a directory's by relative name, a single file by its own name.

    `fingerprint` is `HEX@NS`. HEX is a digest over name, device, inode, size, mtime, ctime and type
    of every file. NS is the newest mtime, which tells a rewrite from rot.
    """

    path: Path
    is_directory: bool
    files: dict[str, FileFacts]
    fingerprint: str
    total_bytes: int
    newest_mtime_ns: int
    newest_change_ns: int
    named: CheckpointName | None
    """What its name says."""

    @property
    def root(self) -> Path:
        """The directory that the names are relative to."""
        return self.path if self.is_directory else self.path.parent

    @property
    def mtime(self) -> float:
        """The newest modification in seconds since 1970."""
        return self.newest_mtime_ns / 1e9

    def is_older_than(self, seconds: float) -> bool:
        """Whether no file changed for that long. A time in the future counts as now."""
        return wall_s() - self.newest_change_ns / 1e9 >= seconds

    def read(self, name: str, most_bytes: int) -> bytes | None:
        """A small file's content; None if it is absent, no file, or larger. Raises OSError."""
        facts = self.files.get(name)
        if facts is None or not facts.is_regular or facts.size > most_bytes:
            return None
        with open_root(self) as root_fd, open(open_inside(root_fd, name), "rb") as file:
            # Not `most_bytes`: read() allocates as much as it is asked for.
            return file.read(facts.size + 1)

    def head(self, count: int) -> bytes:
        """The first bytes of a single file; empty for anything else. Raises OSError."""
        facts = self.files.get(self.path.name)
        if self.is_directory or facts is None or not facts.is_regular:
            return b""
        with open_root(self) as root_fd:
            fd = open_inside(root_fd, self.path.name)
            try:
                return os.pread(fd, count, 0)
            finally:
                os.close(fd)


@contextmanager
def open_root(stock: FileListing) -> Iterator[int]:
    """The directory that the names are relative to, as a descriptor. Raises OSError."""
    fd = os.open(stock.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def list_unnamed(path: Path) -> FileListing:
    """List a checkpoint without parsing its name. Raises OSError; FileNotFoundError: it is gone."""
    top = path.lstat()
    files: dict[str, FileFacts] = {}
    lines: list[str] = []

    def note(name: str, found: os.stat_result) -> None:
        files[name] = FileFacts(found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        lines.append(
            f"{name}\0{found.st_dev}\0{found.st_ino}\0{found.st_size}"
            f"\0{found.st_mtime_ns}\0{found.st_ctime_ns}\0{stat.S_IFMT(found.st_mode)}"
        )

    is_directory = stat.S_ISDIR(top.st_mode)
    if is_directory:
        pending = [("", os.fspath(path), 0)]
        count = 0
        while pending:
            prefix, folder, level = pending.pop()
            with os.scandir(folder) as entries:
                for entry in entries:
                    count += 1
                    if count > _MOST_FILES or level > _MOST_LEVELS:
                        why = "it holds more files than any checkpoint has"
                        raise OSError(errno.E2BIG, why, str(path))
                    name = prefix + entry.name
                    if entry.is_dir(follow_symlinks=False):
                        pending.append((name + "/", entry.path, level + 1))
                    else:
                        note(name, entry.stat(follow_symlinks=False))
    else:
        note(path.name, top)
    lines.sort()
    newest = max((facts.mtime_ns for facts in files.values()), default=top.st_mtime_ns)
    changed = max((facts.ctime_ns for facts in files.values()), default=top.st_ctime_ns)
    text = "\n".join(lines).encode(errors="surrogateescape")
    return FileListing(
        path=path,
        is_directory=is_directory,
        files=files,
        fingerprint=f"{xxhash.xxh3_128_hexdigest(text)}@{newest}",
        total_bytes=sum(facts.size for facts in files.values()),
        newest_mtime_ns=newest,
        newest_change_ns=max(newest, changed),
        named=None,
    )


def read_object(stock: FileListing, name: str) -> dict[str, Any]:
    """The JSON object in one of a checkpoint's files; empty if there is none. Raises OSError."""
    data = stock.read(name, _MOST_OBJECT_BYTES)
    if data is None:
        return {}
    try:
        state = parse(data)
    except ValueError:
        return {}  # The validation reports that the file is damaged. Here only its content counts.
    return state if isinstance(state, dict) else {}
