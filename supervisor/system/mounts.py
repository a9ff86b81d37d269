"""What kind of file system a path is on; it reads /proc and changes nothing."""

import os
from pathlib import Path

from supervisor.worker.mounts import (
    NETWORK_TYPES,
    filesystem_type,
    find_mount,
    is_remote,
    mount_place,
)

__all__ = [
    "NETWORK_TYPES",
    "filesystem_type",
    "is_network",
    "is_remote",
    "mount_options",
    "mount_point",
    "mount_points",
    "remote_mount",
    "remote_mount_points",
]


def mount_options(path: Path) -> frozenset[str]:
    """The options of the mount that holds `path`, its file system's own included."""
    found = find_mount(path)
    return found[1] if found else frozenset()


def mount_points() -> frozenset[Path] | None:
    """Where something is mounted now; None where /proc does not tell (proc(5), mountinfo)."""
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return None
    fields = (line.split(b" ") for line in lines)
    return frozenset(mount_place(words[4]) for words in fields if len(words) > 4)


def mount_point(path: Path) -> Path | None:
    """The mount that holds the path's nearest existing ancestor; None where /proc does not tell."""
    points = mount_points()
    place = Path(os.path.realpath(path))
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    while points is not None and place not in points:
        if place == place.parent:
            return None
        place = place.parent
    return None if points is None else place


def remote_mount_points() -> frozenset[Path]:
    """The mount points of file systems whose server, or process, may stop answering."""
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return frozenset()
    found = set()
    for line in lines:
        left, _, right = line.partition(b" - ")
        fields, kind = left.split(b" "), os.fsdecode(right.split(b" ")[0])
        if len(fields) > 4 and (kind in NETWORK_TYPES or kind.startswith("fuse")):
            found.add(mount_place(fields[4]))
    return frozenset(found)


def remote_mount(path: Path) -> Path | None:
    """The mount of another machine's, or a process's, file system that holds an absolute path.

    The path is not touched: a server that no longer answers would block the caller. Links in it are
    not followed.
    """
    points = mount_points() or frozenset()
    held = next((one for one in (path, *path.parents) if one in points), None)
    return held if held in remote_mount_points() else None


def is_network(path: Path) -> bool:
    """Whether other machines may write to the path's file system, so that flock proves nothing."""
    kind = filesystem_type(path)
    return kind in NETWORK_TYPES if kind else False
