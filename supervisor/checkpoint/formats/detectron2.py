"""detectron2, whose checkpoints are single files."""

from supervisor.checkpoint.formats.name_rule import NameRule
from supervisor.checkpoint.formats.tool_format import ToolFormat

FORMAT = ToolFormat(
    names=(
        NameRule("model_", r"model_(?P<step>\d{7,9})\.pth", "periodic"),
        # Its kind is not "final", which may end the run: other tools write a file of this name too.
        NameRule("model_final", r"model_final\.pth", None),
    ),
    resume="detectron2: `resume: {args: [--resume]}`; it goes on from what `last_checkpoint` names",
)
