"""Directories in shared memory: nobody but their user may enter one, whoever made it again.

`Path.mkdir(parents=True)` gives its mode to the last directory alone (CPython's documentation): a
parent that had vanished would be back for all to read, and refused from then on.
"""

from pathlib import Path


def make_private(folder: Path) -> None:
    """Make a directory and those above it that are missing, all 0700. Raises OSError."""
    if not folder.is_dir():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def make_below(base: Path, folder: Path) -> None:
    """The same below `base`, which has to be there already. Raises OSError, ValueError."""
    names = folder.relative_to(base).parts
    for count in range(1, len(names) + 1):
        base.joinpath(*names[:count]).mkdir(mode=0o700, exist_ok=True)
