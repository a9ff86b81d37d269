"""Directories being written: named after their writer, so that only dead ones are removed."""

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

# A writer that cannot be looked up (another machine on a shared file system, another boot,
# another container) is taken for dead when nothing was written for this long.
UNKNOWN_WRITER_QUIET_S = 24 * 3600.0
_NAME_CHARACTERS = 100  # file names end at 255 bytes

_count = itertools.count()
_given_up: set[str] = set()


def _place() -> str:
    """Where a pid means something: machine, boot and pid namespace, as eight hex digits."""
    facts = [os.uname().nodename]
    for path in ("/etc/machine-id", "/proc/sys/kernel/random/boot_id"):
        try:
            facts.append(Path(path).read_text().strip())
        except OSError:  # containers without a machine id; the host name stands for it
            facts.append("")
    try:
        facts.append(str(os.stat("/proc/self/ns/pid").st_ino))  # noqa: PTH116 - one of a pair
    except OSError:
        facts.append("")
    return xxhash.xxh3_64_hexdigest("\n".join(facts).encode())[:8]


def _start_ticks(pid: int) -> int | None:
    """When a living process started; None if it lives no more. Raises OSError on a shortage."""
    found = read_stat(pid)
    return None if found is None or has_ended(found[1]) else int(found[1][19])


def staging_name(name: str) -> str:
    """A new name for what this process writes: place, pid, start time, a number, and the name."""
    pid = os.getpid()
    owner = f"{_place()}-{pid}-{_start_ticks(pid) or 0}-{next(_count)}"
    short = os.fsdecode(os.fsencode(name)[:_NAME_CHARACTERS])
    return f"{STAGING_PREFIX}{owner}-{short}"


def give_up(path: Path) -> None:
    """Say that this process writes a staging directory no more, though it could not remove it.

    The next `clean_staging` tries again: a persister that lives for weeks on a disk that fails
    now and then would fill it.
    """
    _given_up.add(path.name)


def _writer_is_dead(entry_name: str) -> bool | None:
    """Whether the writer named in a staging directory's name is gone; None if nobody can say."""
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
    lock and no attempt is alive), so those of unknown writers go too. Raises OSError.
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
        # Two cleaners at once: the other one has it, or has taken a part of it.
        if not os.path.lexists(path):
            return False
        return discard(path)
    except RecursionError as error:  # shutil calls itself for each level of folders
        raise OSError(errno.ELOOP, "its folders are too deep to be removed", str(path)) from error
    return True


def _newest_change(path: Path) -> float:
    """The newest modification (wall seconds) in a tree that may be changing."""
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
