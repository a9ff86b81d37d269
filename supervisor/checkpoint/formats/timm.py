"""timm, and other programs that write `.pth.tar`: PyTorch's ImageNet example, MoCo."""

from supervisor.checkpoint.formats.name_rule import NameRule
from supervisor.checkpoint.formats.tool_format import ToolFormat

FORMAT = ToolFormat(
    names=(
        NameRule(".pth.tar", r"(?:checkpoint|last|latest)\.pth\.tar", None),
        NameRule(".pth.tar", r"checkpoint[-_](?P<epoch>\d+)\.pth\.tar", "epoch"),
        NameRule(".pth.tar", r"recovery-(?P<epoch>\d+)-\d+\.pth\.tar", "periodic"),
    ),
    file_endings=(".pth.tar",),
    resume="timm: `resume: {args: [--resume, '{checkpoint}']}`",
)
