"""Whether the memory tier fits: free tmpfs, and what the job may still use of memory.

Pages of a tmpfs count against the memory limit of the cgroup that first touched them.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_MEMORY_RESERVE_BYTES = 256 << 20
_TMPFS_RESERVE_BYTES = 1 << 20
# cgroup v1 shows "no limit" as PAGE_COUNTER_MAX, rounded to pages, which is above this.
_NO_LIMIT = 1 << 62
PROC = Path("/proc")


class MemoryRoom(NamedTuple):
    """Whether it fits, the two figures in bytes that decide (None: unknown), and why, in words."""

    fits: bool
    tmpfs_free: int | None
    memory_left: int | None
    why: str


def room(directory: Path, need_bytes: int, *, proc: Path = PROC) -> MemoryRoom:
    """Whether `need_bytes` more (two slots: twice the state) fit on the tmpfs of `directory`.

    `directory` need not exist yet. A reserve is left free: of the tmpfs 1 MiB and 1/64 of the need,
    of memory 256 MiB and 1/16 of the need. Raises nothing.
    """
    tmpfs_free = _free(directory)
    left = memory_left(proc=proc)
    if tmpfs_free is not None and need_bytes + need_bytes // 64 + _TMPFS_RESERVE_BYTES > tmpfs_free:
        why = f"{directory} has {_shown(tmpfs_free)} free, but {_shown(need_bytes)} are needed"
        return MemoryRoom(False, tmpfs_free, left, why)
    reserve = need_bytes // 16 + _MEMORY_RESERVE_BYTES
    if left is not None and need_bytes + reserve > left:
        why = (
            f"{_shown(left)} of memory are left to this job, but {_shown(need_bytes)} are "
            f"needed and {_shown(reserve)} stay in reserve"
        )
        return MemoryRoom(False, tmpfs_free, left, why)
    return MemoryRoom(True, tmpfs_free, left, f"{_shown(need_bytes)} fit")


def memory_left(*, proc: Path = PROC) -> int | None:
    """What this process's job may still use of memory, in bytes; None where nothing limits it."""
    return min(_limits(proc), default=None)


def used_bytes(root: Path) -> int:
    """What a directory occupies, in bytes of allocated blocks; 0 if it is not there."""
    total = 0
    pending = [os.fspath(root)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:  # it is being removed, or renamed, while it is looked at
            continue
    return total


def _free(directory: Path) -> int | None:
    for place in (directory, *directory.absolute().parents):
        try:
            found = os.statvfs(place)
        except FileNotFoundError:
            continue
        except OSError:
            return None
        return found.f_bavail * found.f_frsize
    return None


def _limits(proc: Path) -> Iterator[int]:
    """What each limit on this process's memory leaves, in bytes; page cache counts as free."""
    available = _fields(proc / "meminfo").get("MemAvailable:")
    if available is not None:
        yield available * 1024
    for folder in _groups(proc):
        facts = _fields(folder / "memory.stat")
        limits = [_number(folder / name) for name in ("memory.max", "memory.high")]
        used = _number(folder / "memory.current")
        cached = facts.get("active_file", 0) + facts.get("inactive_file", 0)
        dirty = facts.get("file_dirty", 0) + facts.get("file_writeback", 0)
        if used is None:  # cgroup v1; its total_ counters include the groups below
            limits = [_number(folder / "memory.limit_in_bytes")]
            used = _number(folder / "memory.usage_in_bytes")
            cached = facts.get("total_active_file", 0) + facts.get("total_inactive_file", 0)
            dirty = facts.get("total_dirty", 0) + facts.get("total_writeback", 0)
        if used is None:
            continue
        for limit in limits:
            if limit is not None and limit < _NO_LIMIT:
                yield max(limit - used + max(cached - dirty, 0), 0)


def _groups(proc: Path) -> Iterator[Path]:
    """The memory cgroup of this process and its ancestors, of v2 and v1 (cgroups(7))."""
    paths = {}
    for line in _lines(proc / "self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not path.startswith("/"):
            continue
        if not controllers:
            paths["cgroup2"] = path
        elif "memory" in controllers.split(","):
            paths["cgroup"] = path
    for line in _lines(proc / "self/mountinfo"):
        before, _, after = (part.split() for part in line.partition(" - "))
        if len(before) < 5 or len(after) < 2:
            continue
        kind, options = after[0], after[-1]
        if kind not in paths or (kind == "cgroup" and "memory" not in options.split(",")):
            continue
        root, mount = before[3:5]
        # In a container the mount may show only a part of the tree: our path begins above it.
        inside = os.path.relpath(paths[kind], root) if _is_below(paths[kind], root) else "."
        folder = Path(mount)
        yield folder
        for part in Path(inside).parts:
            folder /= part
            yield folder


def _is_below(path: str, root: str) -> bool:
    return Path(path).is_relative_to(root)


def _fields(path: Path) -> dict[str, int]:
    return {
        words[0]: int(words[1])
        for words in map(str.split, _lines(path))
        if len(words) > 1 and words[1].isdecimal()
    }


def _number(path: Path) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdecimal() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):  # not this version of cgroups, or no /proc
        return []


def _shown(count: int) -> str:
    return f"{count / (1 << 20):.0f} MiB"
