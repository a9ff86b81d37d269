"""accelerate's `save_state`, and the names that its examples give; torchtitan has the first."""

from supervisor.checkpoint.formats.name_rule import NameRule, SharedName
from supervisor.checkpoint.formats.tool_format import ToolFormat

FORMAT = ToolFormat(
    names=(
        NameRule("step", r"step[-_]?(?P<step>\d+)", "periodic", shared=SharedName()),
        NameRule("epoch", r"epoch[-_]?(?P<epoch>\d+)", "epoch", shared=SharedName()),
    ),
)
