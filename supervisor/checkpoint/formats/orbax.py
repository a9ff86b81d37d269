"""orbax (JAX): its directories are named by the bare step."""

from supervisor.checkpoint.formats.tool_format import ToolFormat

FORMAT = ToolFormat(
    # The second stands there on object stores.
    marks=("_CHECKPOINT_METADATA", "commit_success.txt"),
)
