"""Asks each tool what a checkpoint of one file says inside: its step, and if it can be resumed."""

from supervisor.checkpoint.formats.inside import Inside
from supervisor.checkpoint.formats.table import TOOLS
from supervisor.checkpoint.listing import FileListing
from supervisor.checkpoint.proofs.archived_values import count_of, read_values

# What scripts of all kinds call their counts, the surest first.
_STEPS = ("global_step", "iter_num", "num_updates", "iteration", "step")
# Lightning's directories of several ranks have a file with what its single files have.
_OF_A_DIRECTORY = "meta.pt"
_NOTHING = Inside()


def read_inside(stock: FileListing) -> Inside:
    """What the content says, by the first tool that knows it. Raises OSError.

    `Inside()` if the content is not of torch.save, or cannot be read.
    """
    name = _OF_A_DIRECTORY if stock.is_directory else stock.path.name
    values = read_values(stock, name) if name in stock.files else {}
    if not values:
        return _NOTHING
    for tool in TOOLS:
        found = None if tool.read_inside is None else tool.read_inside(values)
        if found is not None:
            return found
    if stock.is_directory:
        return _NOTHING
    steps = (count_of(values.get(key)) for key in _STEPS)
    return Inside(
        next((step for step in steps if step is not None), None), count_of(values.get("epoch"))
    )
