"""MosaicML's composer, whose checkpoints are files of rank 0 or directories."""

from supervisor.checkpoint.formats.name_rule import NameRule
from supervisor.checkpoint.formats.tool_format import ToolFormat

FORMAT = ToolFormat(
    names=(NameRule("-ba", r"ep(?P<epoch>\d+)-ba(?P<step>\d+)(?:-rank0\.pt)?", "periodic"),),
    folder=r"(?:.*/)?checkpoints",
    resume="composer: `resume: {args: [--load_path, '{checkpoint}']}`, or `autoresume` and"
    " `resume: {by: trainer}`",
)
