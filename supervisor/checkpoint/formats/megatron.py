"""The checkpoints of Megatron-LM and verl."""

from supervisor.checkpoint.formats.name_rule import NameRule, SharedName
from supervisor.checkpoint.formats.tool_format import ToolFormat

FORMAT = ToolFormat(
    names=(
        # Megatron writes seven digits. A name with fewer may be that of another tool's evaluation.
        NameRule("iter_", r"iter_(?P<step>\d{7,})", "periodic"),
        NameRule("iter_", r"iter_(?P<step>\d{1,6})", "periodic", shared=SharedName()),
    ),
    number_pointer=r"latest_checkpointed_iteration\.txt",
    resume="Megatron: `--load` finds the newest by its tracker file: `resume: {by: trainer}`",
)
