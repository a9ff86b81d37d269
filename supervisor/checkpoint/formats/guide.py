"""Trainers that save as the resume guide says, such as the reference trainer."""

from supervisor.checkpoint.formats.name_rule import NameRule
from supervisor.checkpoint.formats.tool_format import ProgressFile, ToolFormat
from supervisor.checkpoint.layout import TRAINING_STATE

FORMAT = ToolFormat(
    names=(NameRule("checkpoint-epoch-", r"checkpoint-epoch-(?P<finished>\d+)", "epoch"),),
    progress=ProgressFile(TRAINING_STATE, "global_step", "current_epoch"),
)
