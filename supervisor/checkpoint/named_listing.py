"""A checkpoint's files with what its name says: the tools that know names use listings too."""

from pathlib import Path

from supervisor.checkpoint.listing import FileListing, list_unnamed
from supervisor.checkpoint.names import parse_marked, parse_name


def list_files(path: Path, pattern: str | None = None) -> FileListing:
    """List a checkpoint. Raises OSError, FileNotFoundError if it is gone.

    `pattern`: how the user names checkpoints, as `parse_name` takes it.
    """
    stock = list_unnamed(path)
    named = parse_name(path.name, pattern)
    if named is None and stock.is_directory:
        named = parse_marked(path.name, stock.files)
    return stock._replace(named=named)
