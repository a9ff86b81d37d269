"""Whether another trainer's checkpoint has all the files that it says it has. Few are opened."""

from supervisor.checkpoint.contents import state_files
from supervisor.checkpoint.formats.table import TOOLS
from supervisor.checkpoint.listing import FileListing
from supervisor.checkpoint.proofs.zip_archive import DamagedError


def check_completeness(stock: FileListing) -> frozenset[str]:
    """The names of a checkpoint's state files.

    Raises DamagedError, with a whole sentence, if by its own files the checkpoint is incomplete.
    Raises OSError.
    """
    names = stock.files.keys()
    for tool in TOOLS:
        if tool.incomplete_mark in names:
            mark = tool.incomplete_mark
            raise DamagedError(f"it holds {mark}: its save was never finished")
    # A single file is a checkpoint by its name, so it counts as state whatever its kind.
    state = state_files(names) if stock.is_directory else frozenset(names)
    _check_substance(stock, state)
    for tool in TOOLS:
        if tool.check is not None:
            tool.check(stock)
    return state


def _check_substance(stock: FileListing, state: frozenset[str]) -> None:
    """Raise DamagedError unless at least one state file is a plain file with content."""
    if not state:
        beside = f", only files that describe them ({min(stock.files)})" if stock.files else ""
        raise DamagedError(f"it holds no file of weights or state{beside}")
    links = sorted(name for name in state if not stock.files[name].is_regular)
    if len(links) == len(state):
        raise DamagedError(f"{links[0]} is not a regular file (links are not followed)")
    if not any(stock.files[name].size for name in state if stock.files[name].is_regular):
        raise DamagedError(
            "all of its files are empty" if stock.is_directory else f"{min(state)} is empty"
        )
