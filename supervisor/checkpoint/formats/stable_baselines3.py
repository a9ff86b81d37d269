"""stable-baselines3's `CheckpointCallback`."""

from supervisor.checkpoint.formats.name_rule import NameRule
from supervisor.checkpoint.formats.tool_format import ToolFormat

FORMAT = ToolFormat(
    names=(NameRule("_steps.zip", r".+_(?P<step>\d+)_steps\.zip", "periodic", is_free=True),),
    file_endings=(".zip",),
)
