"""fairseq, and nnU-Net with its `checkpoint_latest.pth`."""

from collections.abc import Mapping

from supervisor.checkpoint.formats.inside import Inside
from supervisor.checkpoint.formats.name_rule import NameRule
from supervisor.checkpoint.formats.tool_format import ToolFormat
from supervisor.checkpoint.proofs.archived_values import count_of, values_of


def _read_inside(values: Mapping[str, object]) -> Inside | None:
    """The number of updates, which the last optimizer's record has.

    `checkpoint3.pt` is the end of the third epoch. Source: fairseq 0.12.3, trainer.py.
    """
    history = values.get("optimizer_history")
    if not isinstance(history, list) or not history:
        return None
    return Inside(step=count_of(values_of(history[-1]).get("num_updates")), is_surer=True)


FORMAT = ToolFormat(
    names=(
        NameRule("checkpoint_", r"checkpoint_(?P<epoch>\d+)_(?P<step>\d+)\.pt", "periodic"),
        NameRule("checkpoint_", r"checkpoint_(?:last|latest|final)\.(?:pt|pth|ckpt)", None),
    ),
    read_inside=_read_inside,
    resume="fairseq: `resume: {args: [--restore-file, '{checkpoint}']}`",
)
