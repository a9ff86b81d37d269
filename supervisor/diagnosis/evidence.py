"""Facts about an end that the log does not hold: OOM kill counters and free space.

It reads and never decides. Each function answers None or nothing where it may not look.
"""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def read_oom_kills(
    pid: int | None = None, *, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")
) -> int | None:
    """How many processes the kernel has killed for memory in the cgroup of `pid` (None: our own).

    The counter only grows: its rise during an attempt is the evidence. With cgroup v2 it is in
    `memory.events` and counts all groups below. With v1 it is in `memory.oom_control` and counts
    one group alone. See the kernel's cgroup-v2.rst, 5.2.
    """
    membership = _read(proc / (str(pid) if pid is not None else "self") / "cgroup")
    if membership is None:
        return None
    for directory, name in _memory_files(membership, cgroups):
        text = _read(directory / name)
        if text is not None:
            return _counter(text, "oom_kill")
    return None


def free_bytes(path: Path) -> int | None:
    """Bytes that this user may still write where `path` is or would be; 0 without free inodes.

    None where that cannot be known. It can block on a dead network file system.
    """
    for place in (path, *path.parents):
        try:
            figures = os.statvfs(place)
        except FileNotFoundError:
            continue
        except OSError:
            return None
        if figures.f_files > 0 and figures.f_favail == 0:
            return 0
        return figures.f_bavail * figures.f_frsize
    return None


def _memory_files(membership: str, cgroups: Path) -> Iterator[tuple[Path, str]]:
    version_1, version_2 = None, None
    for line in membership.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            version_1 = path
        elif not controllers:
            version_2 = path
    if version_1 is not None:
        for directory in _upward(cgroups / "memory", version_1):
            yield directory, "memory.oom_control"
    elif version_2 is not None:
        for directory in _upward(cgroups, version_2):
            yield directory, "memory.events"


def _upward(root: Path, path: str) -> Iterator[Path]:
    # In a container the path may be the host's, and not exist here. Then the nearest parent that
    # exists counts.
    relative = PurePosixPath(path.lstrip("/"))
    if ".." not in relative.parts:
        yield root / relative
        for parent in relative.parents:
            if parent != relative:
                yield root / parent
    else:
        yield root


def _counter(text: str, name: str) -> int | None:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdigit():
            return int(value)
    return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return None
