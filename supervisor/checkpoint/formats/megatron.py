"""Megatron-LM, and verl."""

from supervisor.checkpoint.formats.name_rule import NameRule, SharedName
from supervisor.checkpoint.formats.tool_format import ToolFormat

FORMAT = ToolFormat(
    names=(
        # It writes seven digits; evaluations of others write fewer.
        NameRule("iter_", r"iter_(?P<step>\d{7,})", "periodic"),
        NameRule("iter_", r"iter_(?P<step>\d{1,6})", "periodic", shared=SharedName()),
    ),
    number_pointer=r"latest_checkpointed_iteration\.txt",
)
