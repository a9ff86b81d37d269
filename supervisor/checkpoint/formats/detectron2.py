"""detectron2."""

from supervisor.checkpoint.formats.name_rule import NameRule
from supervisor.checkpoint.formats.tool_format import ToolFormat

FORMAT = ToolFormat(
    names=(
        NameRule("model_", r"model_(?P<step>\d{7,9})\.pth", "periodic"),
        # Not "final": that would end the run, and other tools write a file of this name, too.
        NameRule("model_final", r"model_final\.pth", None),
    ),
)
