"""TensorFlow, which writes an index file beside the files of data."""

from supervisor.checkpoint.formats.tool_format import ToolFormat

FORMAT = ToolFormat(state=r".*ckpt.*\.(?:index|data-\d{5}-of-\d{5})")
