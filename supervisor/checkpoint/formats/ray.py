"""Ray Train, whose checkpoints are directories."""

from supervisor.checkpoint.formats.name_rule import NameRule
from supervisor.checkpoint.formats.tool_format import ToolFormat

FORMAT = ToolFormat(
    names=(NameRule("checkpoint_", r"checkpoint_(?P<step>\d+)", "periodic"),),
)
