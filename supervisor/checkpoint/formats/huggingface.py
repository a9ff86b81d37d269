"""HF's Trainer, and the libraries around it (TRL, PEFT, diffusers)."""

from supervisor.checkpoint.formats.name_rule import NameRule
from supervisor.checkpoint.formats.tool_format import ToolFormat

FORMAT = ToolFormat(
    # The resume guide's trainers and accelerate have the same.
    names=(NameRule("checkpoint-", r"checkpoint-(?P<step>\d+)", "periodic"),),
)
