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


def _mount(path: Path) -> tuple[str, frozenset[str]] | None:
    target = path.resolve()
    best: tuple[int, str, frozenset[str]] | None = None
    try:
        text = os.fsdecode(Path("/proc/self/mountinfo").read_bytes())
        lines = text.split("\n")
    except OSError:
        return None
    for line in lines:
        left, _, right = line.partition(" - ")
        fields, own = left.split(), right.split()
        if len(fields) < 6 or not own:
            continue
        mount = _place(os.fsencode(fields[4]))
        if target.is_relative_to(mount):
            depth = len(mount.parts)
            # The last of equal ones wins: it is mounted over the others.
            if best is None or depth >= best[0]:
                options = [*fields[5].split(","), *(own[2].split(",") if len(own) > 2 else ())]
                best = (depth, own[0], frozenset(options))
    return best[1:] if best else None


def mount_points() -> frozenset[Path] | None:
    """Where something is mounted now; None where /proc does not tell (proc(5), mountinfo)."""
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return None
    fields = (line.split(b" ") for line in lines)
    return frozenset(_place(words[4]) for words in fields if len(words) > 4)


def _place(field: bytes) -> Path:
    """A path of mountinfo, in which blanks and backslashes are three octal digits."""
    return Path(os.fsdecode(re.sub(rb"\\([0-7]{3})", _octal, field)))


def _octal(found: re.Match[bytes]) -> bytes:
    return bytes([int(found[1], 8) & 0xFF])


def mount_point(path: Path) -> Path | None:
    """The mount that holds the path's nearest existing ancestor; None where nobody knows."""
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
    """Where something is mounted whose server, or process, may not answer any more."""
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return frozenset()
    found = set()
    for line in lines:
        left, _, right = line.partition(b" - ")
        fields, kind = left.split(b" "), os.fsdecode(right.split(b" ")[0])
        if len(fields) > 4 and (kind in NETWORK_TYPES or kind.startswith("fuse")):
            found.add(_place(fields[4]))
    return frozenset(found)


def is_network(path: Path) -> bool:
    """True where other machines may write too, so that flock alone proves nothing."""
    kind = filesystem_type(path)
    return kind in NETWORK_TYPES if kind else False


def is_remote(path: Path) -> bool:
    """True where another machine, or a process, keeps the files: it stamps them by its clock."""
    kind = filesystem_type(path)
    return kind is not None and (kind in NETWORK_TYPES or kind.startswith("fuse"))
