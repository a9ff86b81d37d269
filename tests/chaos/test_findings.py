"""What the sweeps found, each in a test of its own; none of them needs strace."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from train.checkpoint import layout
from train.checkpoint.pickling import write_without_data


def _never(_tensor: torch.Tensor) -> bool:
    return False


@pytest.mark.parametrize("damage", ["cut short", "not written"])
def test_a_scratch_file_that_fails_is_an_error_of_the_tmpfs(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch says RuntimeError of it, which ended the training; memory is refused instead."""

    def write(content: Any, path: Path, capacity: Any) -> Any:
        if damage == "not written":
            raise RuntimeError("basic_ios::clear: iostream error")
        written = write_without_data(content, path, capacity)
        os.truncate(path, path.stat().st_size - 30)
        return written

    monkeypatch.setattr(layout, "write_without_data", write)
    with pytest.raises(OSError, match="Input/output error") as caught:
        layout.build("model.pt", {"weight": torch.ones(3)}, tmp_path, _never)
    assert caught.value.filename == str(tmp_path / "model.pt")
    assert os.listdir(tmp_path) == []


def test_a_state_that_cannot_be_pickled_is_no_error_of_the_tmpfs(tmp_path: Path) -> None:
    """What torch.save says of it goes through."""
    with pytest.raises(TypeError, match="cannot pickle"):
        layout.build("model.pt", {"lock": threading.Lock()}, tmp_path, _never)
