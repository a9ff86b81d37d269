"""Names of single files that a tool shares with other programs: the content tells.

`model_12.pth` may be a save to go on from, or a model for download.
"""

from supervisor.checkpoint.by_products import is_by_product
from supervisor.checkpoint.formats.name_rule import CheckpointName, compiled
from supervisor.checkpoint.formats.table import TOOLS
from supervisor.checkpoint.formats.tool_format import SharedFileName
from supervisor.checkpoint.listing import FileListing
from supervisor.checkpoint.names import is_best_name
from supervisor.checkpoint.save_numbers import numbers

_SHARED = tuple(tool.shared_file for tool in TOOLS if tool.shared_file is not None)
# A directory with more such names holds data.
MOST_TOLD = 500


def may_be_told(name: str) -> bool:
    """Whether the content of a file of this name may show that it is a checkpoint."""
    if is_best_name(name) or is_by_product(name):
        return False
    return any(_number(one, name) is not None for one in _SHARED)


def parse_told(stock: FileListing) -> CheckpointName | None:
    """What name and content of a single file say; None if it is no checkpoint. Raises OSError."""
    name = stock.path.name
    if stock.is_directory or not may_be_told(name):
        return None
    for one in _SHARED:
        number = _number(one, name)
        found = None if number is None else one.read(stock, number)
        if found is not None:
            return found
    return None


def _number(shared: SharedFileName, name: str) -> int | None:
    """The number in a name; None if it counts no saves, but ranks, folds or layers."""
    match = compiled(shared.pattern).fullmatch(name)
    if match is None:
        return None
    counted = numbers(name)
    is_count = bool(counted) and counted[-1].start == match.start("number") and counted[-1].weight
    return int(match["number"]) if is_count else None
