"""fairseq, and nnU-Net with its `checkpoint_latest.pth`."""

from supervisor.checkpoint.formats.name_rule import NameRule
from supervisor.checkpoint.formats.tool_format import ToolFormat

FORMAT = ToolFormat(
    names=(
        NameRule("checkpoint_", r"checkpoint_(?P<epoch>\d+)_(?P<step>\d+)\.pt", "periodic"),
        NameRule("checkpoint_", r"checkpoint_(?:last|latest|final)\.(?:pt|pth|ckpt)", None),
    ),
)
