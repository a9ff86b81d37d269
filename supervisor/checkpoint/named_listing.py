"""Listing a checkpoint's files together with what its name says.

This is not in `listing.py`, because the tool formats that `names.py` needs import that module.
"""

from pathlib import Path

from supervisor.checkpoint.listing import FileListing, list_unnamed
from supervisor.checkpoint.names import parse_marked, parse_name
from supervisor.checkpoint.told_names import parse_told


def list_files(path: Path, pattern: str | None = None) -> FileListing:
    """List a checkpoint's files and parse its name. Raises OSError; FileNotFoundError: it is gone.

    `pattern`: the user's expression for checkpoint names, as in `parse_name`.
    """
    stock = list_unnamed(path)
    named = parse_name(path.name, pattern)
    if named is None and stock.is_directory:
        named = parse_marked(path.name, stock.files)
    elif named is None:
        named = parse_told(stock)
    return stock._replace(named=named)
