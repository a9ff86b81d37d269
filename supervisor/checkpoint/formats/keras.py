"""keras' `ModelCheckpoint`: the user's name with the number of epochs done.

`.keras` is a zip archive, `.weights.h5` is HDF5. Source: keras 3.15,
callbacks/model_checkpoint.py.
"""

from supervisor.checkpoint.formats.name_rule import NameRule
from supervisor.checkpoint.formats.tool_format import ToolFormat

FORMAT = ToolFormat(
    names=(
        # `ckpt-05-0.12.keras`: the epoch, then the loss.
        NameRule(
            "",
            r"(?:.*?\D)?(?P<finished>\d{1,6})(?:[-_](?:[a-z]\w*[-=])?\d+\.\d+)?"
            r"\.(?:keras|weights\.h5)",
            "epoch",
            is_free=True,
        ),
        NameRule("", r"(?:ckpt|checkpoint|last|latest)\.(?:keras|weights\.h5)", None),
    ),
    file_endings=(".keras", ".weights.h5"),
    resume="keras: `resume: {args: [--resume, '{checkpoint}']}`, which the script hands to"
    " `load_model`",
)
