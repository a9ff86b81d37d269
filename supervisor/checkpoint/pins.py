"""Pins mark checkpoints that must never be pruned. Each is an empty file: none is rewritten."""

import os
from pathlib import Path

from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError
from supervisor.system.durable import fsync_directory


def pin(folder: Path, name: str) -> None:
    """Pin the checkpoint of that name, if it is not pinned yet. Raises SupervisorError, OSError."""
    _check(name)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    os.close(os.open(folder / name, flags, 0o600))
    fsync_directory(folder)


def unpin(folder: Path, name: str) -> bool:
    """Remove a checkpoint's pin; False if it was not pinned. Raises SupervisorError, OSError."""
    _check(name)
    try:
        (folder / name).unlink()
    except FileNotFoundError:
        return False
    fsync_directory(folder)
    return True


def pinned(folder: Path) -> frozenset[str]:
    """The names of all pinned checkpoints. Raises OSError."""
    try:
        return frozenset(os.listdir(folder))  # noqa: PTH208 - names, not paths
    except FileNotFoundError:
        return frozenset()


def _check(name: str) -> None:
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise SupervisorError(
            f"{name!r} is not the name of a checkpoint",
            hint="give a name that `supervisor checkpoints` lists",
            code=ExitCode.USAGE,
        )
