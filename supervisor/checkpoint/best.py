"""Which checkpoint a tool's own record calls its best; nothing is unpickled."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from supervisor.checkpoint.formats.table import TOOLS
from supervisor.checkpoint.listing import FileListing
from supervisor.checkpoint.names import is_best_name, series
from supervisor.checkpoint.records import CheckpointEntry

_MOST_NAME_BYTES = 255  # NAME_MAX


def read_best(stock: FileListing) -> str:
    """The names of those that a checkpoint's own record calls the best, `/` between them.

    Empty where it names none. Raises OSError.
    """
    paths = chain.from_iterable(
        tool.best_paths(stock) for tool in TOOLS if tool.best_paths is not None
    )
    names = {path.rstrip("/").rpartition("/")[2] for path in paths if isinstance(path, str)}
    return "/".join(sorted(filter(_is_file_name, names)))


def _is_file_name(name: str) -> bool:
    """Whether a file can be called so: a record is anybody's, and the ledger keeps the names."""
    length = len(name.encode(errors="surrogatepass"))
    return 0 < length <= _MOST_NAME_BYTES and "\0" not in name


def mark_best(entries: Sequence[CheckpointEntry]) -> list[CheckpointEntry]:
    """The entries, newest first, with `best` set for those that are called so.

    Of each series the newest record counts: of improving ones each was the best once. Where that
    is not proven, the newest proven one counts beside it.
    """
    listed = {entry.name for entry in entries}
    best: set[str] = set()
    told: set[tuple[str, bool]] = set()
    for entry in entries:
        key = (series(entry.name), entry.own_run)
        if not entry.names_best or key in told:
            continue
        named = listed.intersection(entry.names_best.split("/"))
        best |= named
        if named and entry.valid:
            told.add(key)
    return [
        replace(entry, best=True) if entry.name in best or is_best_name(entry.name) else entry
        for entry in entries
    ]
