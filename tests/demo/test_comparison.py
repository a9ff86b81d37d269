"""The demo's verdict must find a single different bit, or its PASS proves nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from demo.comparison import compare_checkpoints, compare_curves, is_same


def checkpoint(directory: Path, state: Any) -> Path:
    """Make a folder with one saved file."""
    directory.mkdir()
    torch.save(state, directory / "model.pt")
    return directory


def state() -> dict[str, Any]:
    """Tensors in nested containers, like an optimizer's."""
    weights = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    return {"weights": weights, "groups": [{"lr": 0.1, "betas": (0.9, 0.95)}], "name": "adamw"}


def test_equal_states_are_equal(tmp_path: Path) -> None:
    """The same state saved twice passes, and all its values were compared."""
    first, second = (checkpoint(tmp_path / name, state()) for name in "ab")
    (part,) = compare_checkpoints(first, second, ["model.pt"])
    assert part.is_equal
    assert part.values == 6 + 4


def flip_lowest_bit(changed: dict[str, Any]) -> None:
    """Change one weight by one unit in the last place."""
    changed["weights"].view(torch.int32)[1, 2] ^= 1


def negate_zero(changed: dict[str, Any]) -> None:
    """-0.0 compares equal to 0.0, but is another weight."""
    changed["weights"][0, 0] = -0.0


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (flip_lowest_bit, "weights"),
        (negate_zero, "weights"),
        (lambda changed: changed["groups"][0].update(lr=0.1 + 2**-55), "groups[0].lr"),
        (lambda changed: changed.update(extra=1), "extra"),
        (lambda changed: changed.update(name="sgd"), "name"),
        (lambda changed: changed.update(weights=changed["weights"].double()), "weights"),
        (lambda changed: changed.update(weights=changed["weights"].reshape(3, 2)), "weights"),
    ],
)
def test_any_difference_is_named(change: Any, place: str, tmp_path: Path) -> None:
    """A changed bit, type, shape or key fails the file and is named by its place."""
    changed = state()
    change(changed)
    first = checkpoint(tmp_path / "a", state())
    second = checkpoint(tmp_path / "b", changed)
    (part,) = compare_checkpoints(first, second, ["model.pt"])
    assert not part.is_equal
    assert part.differences[0].startswith(f"{place}:")


def test_a_file_that_is_missing_is_a_difference(tmp_path: Path) -> None:
    """A required file that was not saved is a difference."""
    first, second = (checkpoint(tmp_path / name, state()) for name in "ab")
    parts = {part.name: part for part in compare_checkpoints(first, second, ["ema_model.pt"])}
    assert parts["model.pt"].is_equal
    assert not parts["ema_model.pt"].is_equal


def test_nan_equals_itself() -> None:
    """Two runs that diverge in the same way are equal."""
    assert is_same(torch.tensor([float("nan")]), torch.tensor([float("nan")]))
    assert is_same(float("nan"), float("nan"))


@pytest.mark.parametrize(
    ("steps", "complaint"),
    [([1, 2, 2, 3], "missing or doubled"), ([1, 3], "missing or doubled"), ([1, 2], "2 steps")],
)
def test_a_curve_has_every_step_once(steps: list[int], complaint: str, tmp_path: Path) -> None:
    """A missing, doubled or cut step fails the curve even if the losses agree."""
    for name, numbers in (("ours", steps), ("theirs", [1, 2, 3])):
        lines = [json.dumps({"step": step, "loss": 2.0}) for step in numbers]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    part = compare_curves(tmp_path / "ours", tmp_path / "theirs")
    assert not part.is_equal
    assert any(complaint in difference for difference in part.differences)
