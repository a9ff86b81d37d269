"""The values at the top of what torch.save wrote into one file: `epoch`, `global_step`.

Nothing is unpickled.
"""

from supervisor.checkpoint.listing import FileListing
from supervisor.checkpoint.proofs.archived_pickle import read_archived_pickle
from supervisor.checkpoint.proofs.pickle_values import Entries, UnknownPickleError, read_pickle


def values_of(root: object) -> dict[str, object]:
    """The entries of a dict in a pickle, by their keys; empty for anything else."""
    pairs = root.pairs if isinstance(root, Entries) else []
    return {key: value for key, value in pairs if type(key) is str}


def read_values(stock: FileListing, name: str) -> dict[str, object]:
    """The entries of the dict that a file holds. Raises OSError.

    Empty if the file is no archive of torch.save, is damaged, or holds no dict.
    """
    data = read_archived_pickle(stock, name)
    if not data:
        return {}
    try:
        return values_of(read_pickle(data))
    except UnknownPickleError:
        return {}


def count_of(value: object) -> int | None:
    """A value that may be a count of steps or epochs; else None."""
    return value if type(value) is int and 0 <= value < 1 << 62 else None
