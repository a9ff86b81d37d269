"""nanoGPT, and the many scripts that rewrite one file in place as it does."""

from supervisor.checkpoint.formats.name_rule import NameRule
from supervisor.checkpoint.formats.tool_format import ToolFormat

FORMAT = ToolFormat(
    names=(NameRule(".", r"(?:ckpt|checkpoint|last|latest)\.(?:pt|pth|ckpt|safetensors)", None),),
)
