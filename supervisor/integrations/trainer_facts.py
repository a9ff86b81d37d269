"""What is told of a transformers Trainer: the library, and what its checkpoints do not restore."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FRAMEWORK = "huggingface"


def library_version() -> str:
    """The version of the library that is imported."""
    return str(getattr(sys.modules.get("transformers"), "__version__", "of unknown version"))


def what_is_lost(args: Any) -> list[str]:
    """What this training's checkpoints do not restore, as far as its arguments tell."""
    notes = []
    if getattr(args, "save_only_model", False):
        notes.append(
            "save_only_model: the periodic checkpoints have no optimizer and cannot be resumed;"
            " the one of a stop can"
        )
    if getattr(args, "ignore_data_skip", False):
        notes.append("ignore_data_skip: a resumed training reads its epoch's data anew")
    return notes
