"""kohya's sd-scripts, which append the step or the epochs done to a name that the user gives."""

from supervisor.checkpoint.formats.name_rule import BestWord, NameRule, SharedName
from supervisor.checkpoint.formats.tool_format import ProgressFile, ToolFormat

# The script writes the first of these files first, and accelerate writes the second one last. Each
# shows that a directory is a save of the whole state, and no export.
_WHOLE_STATE = r"train_state\.json|random_states_\d+\.pkl"
_NUMBERED = SharedName(told_by=_WHOLE_STATE)

FORMAT = ToolFormat(
    names=(
        NameRule(
            "-state", r".+-step(?P<step>\d{8})-state", "periodic", BestWord.NOTHING, _NUMBERED
        ),
        NameRule("-state", r".+-(?P<finished>\d{6})-state", "epoch", BestWord.NOTHING, _NUMBERED),
        NameRule(
            "-state",
            r".+-state",
            "final",
            BestWord.NOTHING,
            SharedName(told_by=_WHOLE_STATE, by_any_state=False),
        ),
    ),
    progress=ProgressFile("train_state.json", "current_step", "current_epoch"),
    resume="kohya: `resume: {args: [--resume, '{checkpoint}']}`",
)
