"""Whether a directory of any name is a checkpoint of ours, told by two small files alone.

The directory is not listed: a data set beside the checkpoints may hold a million files.
"""

import os
import stat

from supervisor.checkpoint.digest import open_inside
from supervisor.checkpoint.format import resembles_manifest
from supervisor.checkpoint.layout import MANIFEST, TRAINING_STATE
from supervisor.checkpoint.proofs.bounded_json import parse

_MOST_BYTES = 32 << 20
_KEY = b'"format"'


def is_marked_ours(folder: str) -> bool:
    """Whether a directory has a manifest of ours, or our mark in its training state.

    A file that cannot be read counts as absent. Other tools use the name `manifest.json` too, for
    lists of data or of exports.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        root_fd = os.open(folder, flags)
    except OSError:
        return False
    try:
        manifest = _read(root_fd, MANIFEST)
        if manifest is not None and resembles_manifest(manifest, if_unreadable=False):
            return True
        state = _read(root_fd, TRAINING_STATE)
        return state is not None and _has_format(state)
    finally:
        os.close(root_fd)


def _read(root_fd: int, name: str) -> bytes | None:
    """A file's content if it may be a JSON object with the key `format`; else None."""
    try:
        with open(open_inside(root_fd, name), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST_BYTES:
                return None
            # A list of samples may have megabytes. Its first character shows that it is no object.
            head = file.read(4096)
            if not head.lstrip().startswith(b"{"):
                return None
            data = head + file.read(max(found.st_size - len(head), 0))
    except OSError:
        return None
    return data if _KEY in data else None


def _has_format(data: bytes) -> bool:
    try:
        state = parse(data)
    except ValueError:
        return False
    return isinstance(state, dict) and "format" in state
