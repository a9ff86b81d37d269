"""On which kind of file system a path is; it reads /proc and changes nothing."""

from __future__ import annotations

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
    found = find_mount(path)
    return found[0] if found else None


def find_mount(path: Path) -> tuple[str, frozenset[str]] | None:
    """Return type and options of the mount that holds `path`, None where /proc does not tell."""
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
        mount = mount_place(os.fsencode(fields[4]))
        if target.is_relative_to(mount):
            depth = len(mount.parts)
            # The last of several mounts on one place wins: it is mounted over the others.
            if best is None or depth >= best[0]:
                options = [*fields[5].split(","), *(own[2].split(",") if len(own) > 2 else ())]
                best = (depth, own[0], frozenset(options))
    return best[1:] if best else None


def mount_place(field: bytes) -> Path:
    """A path of mountinfo, in which blanks and backslashes are three octal digits."""
    return Path(os.fsdecode(re.sub(rb"\\([0-7]{3})", _octal, field)))


def _octal(found: re.Match[bytes]) -> bytes:
    return bytes([int(found[1], 8) & 0xFF])


def is_remote(path: Path) -> bool:
    """True where another machine, or a process, keeps the files and stamps them by its clock."""
    kind = filesystem_type(path)
    return kind is not None and (kind in NETWORK_TYPES or kind.startswith("fuse"))
