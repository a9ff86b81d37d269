"""Finds the file that an attempt printed to, by its inode: rotation gives it another name."""

import os
from pathlib import Path


def find_log(train_log: Path, inode: int | None, pid: int | None) -> Path | None:
    """Where the file with this inode is: under its name, beside it, or open in a process.

    `inode` None, for an attempt on record without one: under its name. None where it is nowhere.
    """
    if inode is None:
        return train_log
    if _inode(train_log) == inode:
        return train_log
    if pid is not None and _inode(printed := Path(f"/proc/{pid}/fd/1")) == inode:
        return printed
    try:
        with os.scandir(train_log.parent) as entries:
            beside = [e.name for e in entries if e.inode() == inode and e.is_file()]
    except OSError:
        return None
    return train_log.with_name(beside[0]) if beside else None


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None
