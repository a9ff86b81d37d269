"""Reads a checkpoint into new memory. It checks no hashes and changes nothing."""

import json
from pathlib import Path
from typing import Any

import torch

from supervisor.checkpoint.format import TRAINING_STATE


def load(path: Path | str) -> dict[str, Any]:
    """The states in a checkpoint directory by their file names, on the CPU.

    `training_state.json` is among them. No tensor shares memory with a file, since
    `optimizer.load_state_dict` may keep these very tensors as an optimizer's moments. Raises
    OSError, pickle.UnpicklingError for what `weights_only` does not allow, and ValueError for a
    link.
    """
    folder = Path(path)
    content: dict[str, Any] = {}
    for file in sorted(folder.rglob("*.pt")):
        _check_plain(file)
        name = file.relative_to(folder).as_posix()
        content[name] = torch.load(file, map_location="cpu", weights_only=True, mmap=False)
    _check_plain(folder / TRAINING_STATE)
    content[TRAINING_STATE] = json.loads((folder / TRAINING_STATE).read_bytes())
    return content


def _check_plain(file: Path) -> None:
    """Raise ValueError unless a file is regular or absent: reading a pipe would wait for ever."""
    if file.is_symlink() or (file.exists() and not file.is_file()):
        raise ValueError(f"{file} is not a regular file (links are not followed)")
