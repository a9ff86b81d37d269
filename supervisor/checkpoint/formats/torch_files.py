"""Numbered files of torch.save from scripts of all kinds: `0050000.pt`, `model_12.pth`.

Such a name may be that of a model for download, or of data. If the file holds an optimizer beside
other state, it is a save to go on from. torchvision's references write `model_12.pth`, DiT
`0050000.pt`. Source: pytorch/vision, references/classification/train.py; facebookresearch/DiT,
train.py.
"""

from supervisor.checkpoint.formats.name_rule import CheckpointName
from supervisor.checkpoint.formats.tool_format import SharedFileName, ToolFormat
from supervisor.checkpoint.listing import FileListing
from supervisor.checkpoint.proofs.archived_values import count_of, read_values

_OPTIMIZER = "optim"
_SHORT = frozenset({"opt", "opt_state"})


def _read(stock: FileListing, number: int) -> CheckpointName | None:
    """The number as an epoch if the file says that epoch or the next, else as a step."""
    values = read_values(stock, stock.path.name)
    has_optimizer = any(_OPTIMIZER in key.lower() or key.lower() in _SHORT for key in values)
    if not has_optimizer or len(values) < 2:
        return None
    epoch = count_of(values.get("epoch"))
    if epoch is not None and number - epoch in (0, 1):
        return CheckpointName(None, epoch, "epoch")
    return CheckpointName(number, None, "periodic")


FORMAT = ToolFormat(
    shared_file=SharedFileName(r"(?:.*\D)?(?P<number>\d{1,12})\.(?:pt|pth|ckpt|pth\.tar)", _read)
)
