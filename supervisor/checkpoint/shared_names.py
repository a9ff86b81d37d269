"""Tells checkpoints from the directories of evaluations that have the same kind of name.

`step_150/` may be a checkpoint, or hold the pictures of that step. The names of the files in it
decide. No file is read.
"""

import os
import re
from collections.abc import Iterable

from supervisor.checkpoint.by_products import holds_state
from supervisor.checkpoint.contents import is_payload
from supervisor.checkpoint.formats.table import PROGRESS_FILES, TOOLS
from supervisor.checkpoint.names import MARKS, shared_name
from supervisor.checkpoint.save_words import has_save_word
from supervisor.checkpoint.suffixes import CERTAIN_ENDINGS, POSSIBLE_ENDINGS

_STATE_FILES = frozenset([*MARKS, *(progress.name for progress in PROGRESS_FILES)])
_CERTAIN = re.compile("|".join(tool.state for tool in TOOLS if tool.state is not None))
_MOST_NAMES = 2_000


def is_save(name: str, files: Iterable[str]) -> bool:
    """Whether a directory of this name is a save, judged by the names of the files in it.

    `files` are relative to the directory. If only checkpoints have such a name, it is a save.
    """
    shared = shared_name(name)
    if shared is None:
        return True
    return any(
        (shared.told_by is not None and re.fullmatch(shared.told_by, file) is not None)
        or (shared.by_any_state and _is_state(file))
        for file in files
    )


def is_save_at(path: str) -> bool:
    """As `is_save`, for a directory on the disk. The walk ends after about 2,000 files.

    A directory that cannot be read counts as a save.
    """
    name = path.rpartition("/")[2]
    if shared_name(name) is None:
        return True
    files: list[str] = []
    try:
        for folder, folders, leaves in os.walk(path, onerror=_raise):
            below = os.path.relpath(folder, path)
            files += leaves if below == "." else [f"{below}/{leaf}" for leaf in leaves]
            if len(files) + len(folders) > _MOST_NAMES:
                break
    except OSError:
        return True
    return is_save(name, files)


def _raise(error: OSError) -> None:
    raise error


def _is_state(file: str) -> bool:
    leaf = file.rpartition("/")[2]
    if leaf in _STATE_FILES or _CERTAIN.fullmatch(leaf) is not None:
        return True
    if is_payload(file):
        return holds_state(file)
    is_of_a_kind = leaf.lower().endswith((*CERTAIN_ENDINGS, *POSSIBLE_ENDINGS))
    return is_of_a_kind and has_save_word(leaf) and holds_state(file)
