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


def save_every(args: Any, state: Any) -> int | None:
    """How many steps lie between two saves; 0: it never saves. None: that is not known."""
    strategy = str(getattr(args.save_strategy, "value", args.save_strategy))
    if strategy == "no":
        return 0
    if strategy == "steps":
        every = getattr(state, "save_steps", None) or args.save_steps
        # A fraction is one of all steps.
        steps = every if every >= 1 else state.max_steps * every
        return max(int(steps), 1)
    epochs = getattr(state, "num_train_epochs", 0)
    if strategy == "epoch" and epochs and state.max_steps > 0:
        total: int = state.max_steps
        return -(-total // int(epochs))
    return None  # `best` saves where an evaluation is better than all before


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


def output_directory(trainer: Any, trial: Any, args: Any) -> str:
    """Where a training saves: a trial of a search has a folder of its own."""
    if trial is not None and trainer is not None:
        return str(trainer._get_output_dir(trial=trial))
    return str(args.output_dir)


def no_step(device: Any) -> Any:
    """A `training_step` that trains nothing, and whose loss is 0."""
    import torch

    def nothing(*_: Any, **__: Any) -> Any:
        return torch.tensor(0.0, device=device)

    return nothing
