"""How the tool that wrote a checkpoint is told to resume: for a user who has told it nothing."""

import re
from collections.abc import Iterable
from pathlib import Path

from supervisor.checkpoint.formats.name_rule import first_match
from supervisor.checkpoint.formats.table import TOOLS
from supervisor.checkpoint.formats.tool_format import ToolFormat


def how_to_resume(path: Path, files: Iterable[str]) -> str | None:
    """The tool's sentence for a checkpoint with these files; None if none is known.

    A file that one tool alone writes says more than the folder, the folder more than the name, and
    the name more than a file that several tools write.
    """
    inside = tuple(files)
    known = [tool for tool in TOOLS if tool.resume is not None]
    named = [tool for tool in known if not tool.sign and first_match(tool.names, path.name)]
    signed = [tool for tool in known if _has_sign(tool, inside)]
    placed = [tool for tool in named if re.fullmatch(tool.folder or "", path.parent.name)]
    alone, common = ([one for one in signed if one.is_sign_common is is_common]
                     for is_common in (False, True))  # fmt: skip
    return next((tool.resume for tool in (*alone, *placed, *named, *common)), None)


def _has_sign(tool: ToolFormat, files: Iterable[str]) -> bool:
    return tool.sign is not None and any(re.fullmatch(tool.sign, file) for file in files)
