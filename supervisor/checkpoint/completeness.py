"""What a checkpoint of another trainer says by itself of files that it lacks; few are opened."""

from supervisor.checkpoint.contents import state_files
from supervisor.checkpoint.formats.table import TOOLS
from supervisor.checkpoint.listing import FileListing
from supervisor.checkpoint.proofs.zip_archive import DamagedError


def check_completeness(stock: FileListing) -> frozenset[str]:
    """The names of its files of state, all there as far as it says itself.

    Raises DamagedError with a whole sentence, OSError.
    """
    names = stock.files.keys()
    for tool in TOOLS:
        if tool.incomplete_mark in names:
            mark = tool.incomplete_mark
            raise DamagedError(f"{mark} stands in it: its save was never finished")
    # The name of a single file is all that makes it a checkpoint.
    state = state_files(names) if stock.is_directory else frozenset(names)
    _check_substance(stock, state)
    for tool in TOOLS:
        if tool.check is not None:
            tool.check(stock)
    return state


def _check_substance(stock: FileListing, state: frozenset[str]) -> None:
    """Something must be there that can be state: a file with content."""
    if not state:
        beside = f", only what describes it ({min(stock.files)})" if stock.files else ""
        raise DamagedError(f"it holds no file of weights or state{beside}")
    links = sorted(name for name in state if not stock.files[name].is_regular)
    if len(links) == len(state):
        raise DamagedError(f"{links[0]} is a link or no file, which is not followed")
    if not any(stock.files[name].size for name in state if stock.files[name].is_regular):
        raise DamagedError(
            "all of its files are empty" if stock.is_directory else f"{min(state)} is empty"
        )
