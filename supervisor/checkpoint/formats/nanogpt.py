"""nanoGPT, and the many scripts that, like nanoGPT, rewrite one file in place."""

from supervisor.checkpoint.formats.name_rule import NameRule
from supervisor.checkpoint.formats.tool_format import ToolFormat

FORMAT = ToolFormat(
    names=(NameRule(".", r"(?:ckpt|checkpoint|last|latest)\.(?:pt|pth|ckpt|safetensors)", None),),
    resume="nanoGPT: `resume: {args: [--init_from=resume]}`; other scripts by an argument,"
    " `resume: {args: [--resume, '{checkpoint}']}`",
)
