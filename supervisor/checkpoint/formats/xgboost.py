"""xgboost's `TrainingCheckPoint`: `model_100.ubj`, before version 2.1 `model_100.json`.

The number is the boosting round, an index from 0. Source: xgboost 3.2, callback.py.
"""

from supervisor.checkpoint.formats.name_rule import CheckpointName, NameRule
from supervisor.checkpoint.formats.tool_format import SharedFileName, ToolFormat
from supervisor.checkpoint.listing import FileListing

_JSON_HEAD = b'{"learner":'


def _read(stock: FileListing, number: int) -> CheckpointName | None:
    """The round, if the JSON begins as a booster does."""
    head = stock.head(len(_JSON_HEAD) + 8)
    if not b"".join(head.split()).startswith(_JSON_HEAD):
        return None
    return CheckpointName(number, None, "periodic")


FORMAT = ToolFormat(
    names=(
        NameRule("_", r"(?:.*_)?(?P<step>\d{1,9})\.(?:ubj|deprecated)", "periodic", is_free=True),
    ),
    file_endings=(".ubj", ".deprecated"),
    shared_file=SharedFileName(r"(?:.*_)?(?P<number>\d{1,9})\.json", _read),
    resume="xgboost: `resume: {args: [--resume, '{checkpoint}']}`, which the script hands to"
    " `train(xgb_model=…)`",
)
