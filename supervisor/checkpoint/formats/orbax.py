"""orbax (JAX): its directories are named by the bare step."""

from supervisor.checkpoint.formats.tool_format import ToolFormat

FORMAT = ToolFormat(
    # Under a prefix for steps.
    state=r"_METADATA|manifest\.ocdbt",
    # The second stands there on object stores.
    marks=("_CHECKPOINT_METADATA", "commit_success.txt"),
)
