"""The trainer on a CUDA device: exact after kills, and checkpoints that change devices."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.train.conftest import Workplace, assert_same_training
from tests.train.conftest import cold_workplace as workplace

__all__ = ["assert_same_training", "workplace"]  # fixtures

Same = Callable[[Path, Path], None]
pytestmark = [pytest.mark.gpu, pytest.mark.timeout(300)]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_kills_change_no_bit(
    workplace: Workplace, tmp_path: Path, assert_same_training: Same, precision: str
) -> None:
    """Kills change no bit, with dropout on the device, EMA, accumulation and a scaler."""
    changes: dict[str, Any] = {
        "training": {"device": "cuda", "deterministic": True, "precision": precision},
        "data": {"workers": 1},
    }
    untouched = Workplace(tmp_path / "untouched")
    untouched.run(changes=changes)
    untouched.close()
    for steps in (7, 13):
        trainer = workplace.start("--resume", "auto", changes=changes)
        assert trainer.wait_for("tokens/s")
        for _ in range(steps):
            trainer.wait_for("tokens/s")
        trainer.process.kill()
        assert trainer.end() == -signal.SIGKILL
    workplace.run("--resume", "auto", changes=changes)
    assert_same_training(untouched.outputs, workplace.outputs)


@pytest.mark.parametrize(("first", "second"), [("cuda", "cpu"), ("cpu", "cuda")])
def test_a_checkpoint_changes_devices(workplace: Workplace, first: str, second: str) -> None:
    """A checkpoint of one device resumes on the other, with optimizer state and EMA."""
    short: dict[str, Any] = {"training": {"device": first, "max_steps": 12}}
    workplace.run(changes=short)
    output = workplace.run("--resume", "auto", changes={"training": {"device": second}})
    assert "at step 12" in output
    assert f"parameters on {second}" in output
    assert [line["step"] for line in workplace.metrics()] == list(range(1, 43))
