"""What kind of file system a path is on; it reads /proc and changes nothing."""

import os
import re
from pathlib import Path

NETWORK_TYPES = frozenset(
    {
        "nfs",
        "nfs4",
        "lustre",
        "gpfs",
        "beegfs",
        "cifs",
        "smb3",
        "ceph",
        "fuse.glusterfs",
        "9p",
        "afs",
    }
)


def filesystem_type(path: Path) -> str | None:
    """The type (`ext4`, `nfs4`, `tmpfs` …) of the mount that holds `path` (proc(5), mountinfo)."""
    found = _mount(path)
    return found[0] if found else None


def mount_options(path: Path) -> frozenset[str]:
    """The options of the mount that holds `path`, its file system's own included."""
    found = _mount(path)
    return found[1] if found else frozenset()


def mount_point(path: Path) -> Path | None:
    """Where the file system that holds `path`, or would, is mounted; None where nobody knows."""
    target = Path(os.path.realpath(path))
    holders = [point for point in mount_points() if target.is_relative_to(point)]
    return Path(max(holders, key=len)) if holders else None


def mount_points() -> frozenset[str]:
    """All places on which something is mounted; empty where /proc does not tell."""
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    fields = (line.split() for line in lines)
    return frozenset(_unescaped(words[4]) for words in fields if len(words) > 4)


def _unescaped(text: str) -> str:
    """A path of mountinfo, in which space, tab, newline and backslash are octal (proc(5))."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _mount(path: Path) -> tuple[str, frozenset[str]] | None:
    target = path.resolve()
    best: tuple[int, str, frozenset[str]] | None = None
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        left, _, right = line.partition(" - ")
        fields, own = left.split(), right.split()
        if len(fields) < 6 or not own:
            continue
        mount = Path(_unescaped(fields[4]))
        if target.is_relative_to(mount):
            depth = len(mount.parts)
            # The last of equal ones wins: it is mounted over the others.
            if best is None or depth >= best[0]:
                options = [*fields[5].split(","), *(own[2].split(",") if len(own) > 2 else ())]
                best = (depth, own[0], frozenset(options))
    return best[1:] if best else None


def is_network(path: Path) -> bool:
    """True where other machines may write too, so that flock alone proves nothing."""
    kind = filesystem_type(path)
    return kind in NETWORK_TYPES if kind else False
