"""What lies where, by stat alone: the fingerprint that lets an unchanged checkpoint go unread."""

import errno
import os
import stat
from pathlib import Path

import xxhash

from supervisor.checkpoint.listing import FileFacts, FileListing
from supervisor.checkpoint.names import parse_marked, parse_name

_MOST_FILES = 100_000
_MOST_LEVELS = 16


def list_files(path: Path, pattern: str | None = None) -> FileListing:
    """List a checkpoint. Raises OSError, FileNotFoundError if it is gone.

    `pattern`: how the user names checkpoints, as `parse_name` takes it.
    """
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
                        why = "it holds more files than any checkpoint"
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
    named = parse_name(path.name, pattern)
    if named is None and is_directory:
        named = parse_marked(path.name, files)
    return FileListing(
        path=path,
        is_directory=is_directory,
        files=files,
        fingerprint=f"{xxhash.xxh3_128_hexdigest(text)}@{newest}",
        total_bytes=sum(facts.size for facts in files.values()),
        newest_mtime_ns=newest,
        newest_change_ns=max(newest, changed),
        named=named,
    )
