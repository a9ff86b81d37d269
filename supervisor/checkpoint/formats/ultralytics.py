"""ultralytics (YOLO), which rewrites `last.pt` after each epoch, and saves `epochN.pt` if told to.

At the end of the training it takes the optimizer out of `last.pt` and `best.pt`. Source:
ultralytics 8.4, engine/trainer.py (`save_model`), utils/torch_utils.py (`strip_optimizer`).
"""

from collections.abc import Mapping

from supervisor.checkpoint.formats.inside import Inside
from supervisor.checkpoint.formats.name_rule import NameRule
from supervisor.checkpoint.formats.tool_format import ToolFormat
from supervisor.checkpoint.proofs.archived_values import count_of


def _read_inside(values: Mapping[str, object]) -> Inside | None:
    """The epoch's index; after the training it is -1, and there is no optimizer."""
    if not values.keys() >= {"train_args", "ema", "best_fitness", "epoch"}:
        return None
    epoch = values["epoch"]
    return Inside(epoch=count_of(epoch), is_spent=epoch == -1 and values.get("optimizer") is None)


FORMAT = ToolFormat(
    names=(
        NameRule("last", r"last\.pt", None),
        NameRule("epoch", r"epoch(?P<epoch>\d+)\.pt", "epoch"),
    ),
    folder=r"(?:.*/)?weights",
    read_inside=_read_inside,
    resume="ultralytics: `resume: {args: ['model={checkpoint}', resume=True]}` for `yolo`; a script"
    " calls `YOLO(path).train(resume=True)` with the path in SUPERVISOR_RESUME_FROM, and"
    " `resume: {by: trainer}`",
)
