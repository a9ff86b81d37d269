"""Staging names, for files and directories that are still being written.

A name identifies the writing process, so that only what dead writers left is removed.
"""

import errno
import itertools
import os
import shutil
import stat
from pathlib import Path

import xxhash

from supervisor.checkpoint.layout import STAGING_PREFIX
from supervisor.system.clock import wall_s
from supervisor.system.identity import has_ended, read_stat

# Some writers cannot be looked up: on another machine of a shared file system, in another boot or
# another container. Such a writer counts as dead when nothing was written for this long.
UNKNOWN_WRITER_QUIET_S = 24 * 3600.0
_NAME_CHARACTERS = 100  # bytes; a file name has at most 255 (NAME_MAX)

_count = itertools.count()
_given_up: set[str] = set()


def _place() -> str:
    """Machine, boot and pid namespace, within which a pid is unique, hashed to eight hex digits."""
    facts = [os.uname().nodename]
    for path in ("/etc/machine-id", "/proc/sys/kernel/random/boot_id"):
        try:
            facts.append(Path(path).read_text().strip())
        except OSError:  # a container without a machine id; its host name must do
            facts.append("")
    try:
        facts.append(str(os.stat("/proc/self/ns/pid").st_ino))  # noqa: PTH116 - one of a pair
    except OSError:
        facts.append("")
    return xxhash.xxh3_64_hexdigest("\n".join(facts).encode())[:8]


def _start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if it has ended.

    Raises OSError on a shortage of descriptors or memory.
    """
    found = read_stat(pid)
    return None if found is None or has_ended(found[1]) else int(found[1][19])


def staging_name(name: str) -> str:
    """A new name for this process to write under: place, pid, start time, a count, and `name`."""
    pid = os.getpid()
    owner = f"{_place()}-{pid}-{_start_ticks(pid) or 0}-{next(_count)}"
    short = os.fsdecode(os.fsencode(name)[:_NAME_CHARACTERS])
    return f"{STAGING_PREFIX}{owner}-{short}"


def give_up(path: Path) -> None:
    """Note that this process no longer writes a staging directory, but could not remove it.

    The next `clean_staging` tries again. Otherwise a persister that runs for weeks would fill a
    disk that fails now and then.
    """
    _given_up.add(path.name)


def _writer_is_dead(entry_name: str) -> bool | None:
    """Whether the writer in a staging name is dead; None if this process cannot find out."""
    if entry_name in _given_up:
        return True
    parts = entry_name.removeprefix(STAGING_PREFIX).split("-", 4)
    if len(parts) != 5 or parts[0] != _place():
        return None
    try:
        pid, ticks = int(parts[1]), int(parts[2])
    except ValueError:
        return None
    return _start_ticks(pid) != ticks


def clean_staging(parent: Path, *, quiet: bool = False) -> tuple[Path, ...]:
    """Remove what dead writers left in a checkpoint directory; returns what was removed.

    `quiet`: the caller knows that no writer of this directory lives anywhere (it holds the run's
    lock, and no attempt is alive). Then what unknown writers left is removed at once. Raises
    OSError.
    """
    removed = []
    try:
        found = [entry for entry in os.scandir(parent) if entry.name.startswith(STAGING_PREFIX)]
    except FileNotFoundError:
        return ()
    for entry in found:
        path = Path(entry.path)
        is_dead = _writer_is_dead(entry.name)
        if is_dead is None:
            is_dead = quiet or wall_s() - _newest_change(path) > UNKNOWN_WRITER_QUIET_S
        if is_dead and discard(path):
            _given_up.discard(entry.name)
            removed.append(path)
    return tuple(removed)


def discard(path: Path) -> bool:
    """Remove a file, a link or a whole directory; False if it was gone already. Raises OSError."""
    try:
        if stat.S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path)
        else:
            path.unlink()
    except FileNotFoundError:
        # Another cleaner has removed it, or a part of it, at the same time.
        if not os.path.lexists(path):
            return False
        return discard(path)
    except RecursionError as error:  # shutil calls itself for each level of folders
        raise OSError(
            errno.ELOOP, "its folders are nested too deeply to be removed", str(path)
        ) from error
    return True


def _newest_change(path: Path) -> float:
    """The newest mtime in a tree, in seconds since 1970. Files may vanish meanwhile."""
    newest = 0.0
    pending = [path]
    while pending:
        folder = pending.pop()
        try:
            newest = max(newest, folder.lstat().st_mtime)
            if folder.is_dir() and not folder.is_symlink():
                pending += folder.iterdir()
        except FileNotFoundError:
            continue
    return newest
