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
    """The names of the checkpoints that this one's own record calls the best, joined by `/`.

    Empty where the record names none. Raises OSError.
    """
    paths = chain.from_iterable(
        tool.best_paths(stock) for tool in TOOLS if tool.best_paths is not None
    )
    names = {path.rstrip("/").rpartition("/")[2] for path in paths if isinstance(path, str)}
    return "/".join(sorted(filter(_is_file_name, names)))


def _is_file_name(name: str) -> bool:
    """Whether a file can have this name: any program may write the record, the ledger keeps it."""
    length = len(name.encode(errors="surrogatepass"))
    return 0 < length <= _MOST_NAME_BYTES and "\0" not in name


def mark_best(entries: Sequence[CheckpointEntry]) -> list[CheckpointEntry]:
    """The entries, newest first, with `best` set for those that a record or their name calls best.

    Of each series the newest record counts: while a model improves, each checkpoint is the best
    once. If the checkpoint with the newest record is not proven valid, the newest record of a valid
    checkpoint counts too.
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
