"""orbax (JAX), whose checkpoints are directories with the bare step as their name."""

from supervisor.checkpoint.formats.tool_format import ToolFormat

FORMAT = ToolFormat(
    # These show a save if a directory's name has a prefix before the step.
    state=r"_METADATA|manifest\.ocdbt",
    # orbax writes the second of them on object stores.
    marks=("_CHECKPOINT_METADATA", "commit_success.txt"),
)
