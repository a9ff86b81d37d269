"""A run that is killed any number of times ends in the same bits as an untouched run."""

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.train.conftest import Workplace

Same = Callable[[Path, Path], None]

EVERYTHING: dict[str, Any] = {
    "data": {"workers": 1},
    "training": {"precision": "bf16", "deterministic": True},
    "checkpoints": {"save_steps": 3},
    "evaluation": {"steps": 9},
}
AUGMENTED = """
import random, numpy, torch

class Noisy:
    def __init__(self, length):
        self.length = length
    def __len__(self):
        return self.length
    def __getitem__(self, index):
        torch.manual_seed(torch.initial_seed()) if index < 0 else None
        value = random.random() + numpy.random.rand() + torch.rand(())
        return {"inputs": torch.full((3,), float(index)) + value, "targets": value}

class Mean(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 1)
        self.norm = torch.nn.BatchNorm1d(3)
    def forward(self, inputs, targets):
        noise = 0.01 * torch.rand(()) + 0.01 * random.random() + 0.01 * numpy.random.rand()
        error = self.linear(self.norm(inputs)).squeeze(1) - targets + noise
        return {"loss": error.square().mean()}
"""
OWN: dict[str, Any] = {
    "data": {"text": None, "factory": "augmented:Noisy", "args": {"length": 90}},
    "model": {"factory": "augmented:Mean"},
}


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_random_kills_change_no_bit(
    workplace: Workplace, tmp_path: Path, assert_same_training: Same
) -> None:
    """SIGKILL at random moments changes no bit, with workers, bf16, EMA and dropout."""
    untouched = Workplace(tmp_path / "untouched")
    untouched.run(changes=EVERYTHING)
    untouched.close()
    chance = random.Random(20261123)
    kills = 0
    for _ in range(5):
        trainer = workplace.start("--resume", "auto", changes=EVERYTHING)
        assert trainer.wait_for("tokens/s"), trainer.output
        # The waits reach from the first steps to after the end of the epoch.
        for _ in range(chance.randrange(16)):
            trainer.wait_for("tokens/s")
        time.sleep(chance.random() * 0.02)  # anywhere in a step or a save, on purpose
        trainer.process.kill()
        kills += trainer.end() == -signal.SIGKILL
    assert kills >= 4
    workplace.run("--resume", "auto", changes=EVERYTHING)
    assert_same_training(untouched.outputs, workplace.outputs)


def test_killed_inside_a_save(
    reference: Workplace, workplace: Workplace, assert_same_training: Same
) -> None:
    """Half a checkpoint never counts as one, and its remains are removed."""
    workplace.outputs.mkdir()
    trainer = workplace.start()
    deadline = time.monotonic() + 50
    while not (found := list(workplace.outputs.glob(".staging-*"))):
        assert time.monotonic() < deadline
    trainer.process.kill()
    assert trainer.end() == -signal.SIGKILL
    assert found
    workplace.run("--resume", "auto")
    assert list(workplace.outputs.glob(".staging-*")) == []
    assert_same_training(reference.outputs, workplace.outputs)


def test_saves_at_steps_of_its_own_choice_change_no_bit(
    reference: Workplace, workplace: Workplace, assert_same_training: Same
) -> None:
    """`save_steps: auto` with a kill; bounds far below a step make it save as often as it can."""
    auto = {"checkpoints": {"save_steps": "auto"}}
    env = {"SUPERVISOR_SAVE_INTERVAL": '{"min_s": 1e-4, "max_s": 1e-3}'}
    trainer = workplace.start(changes=auto, env=env, hold="saved ")
    assert trainer.wait_for("saved "), trainer.output
    trainer.process.kill()
    assert trainer.end() == -signal.SIGKILL
    assert "checkpoint-epoch" not in trainer.output  # it is none of the saves that come anyway
    assert "resuming from" in workplace.run("--resume", "auto", changes=auto)
    assert_same_training(reference.outputs, workplace.outputs)


@pytest.mark.timeout(400)
def test_augmentation_is_the_same_with_workers_and_after_a_resume(
    workplace: Workplace, tmp_path: Path, assert_same_training: Same
) -> None:
    """Random numbers of the user's dataset and model depend on the batch, not on the worker."""
    (workplace.path / "augmented.py").write_text(AUGMENTED)
    untouched = Workplace(tmp_path / "untouched")
    (untouched.path / "augmented.py").write_text(AUGMENTED)
    untouched.run(changes=OWN)
    untouched.close()
    with_workers = OWN | {"data": OWN["data"] | {"workers": 2}}
    workplace.run("--set", "training.max_steps=7", "--set", "schedule.total_steps=20", changes=OWN)
    (workplace.outputs / "checkpoint-7").rename(workplace.outputs / "kept-7")
    workplace.run("--resume", "auto", changes=with_workers)
    assert_same_training(untouched.outputs, workplace.outputs)


def test_evaluation_leaves_training_alone(reference: Workplace, workplace: Workplace) -> None:
    """Without evaluation the losses are the same."""
    workplace.run(changes={"evaluation": {"steps": 0}})
    losses = [line["loss"] for line in workplace.metrics()]
    assert losses == [line["loss"] for line in reference.metrics()]
    evaluated = [line["step"] for line in reference.metrics() if "val_loss" in line]
    assert evaluated == [10, 20, 30, 40]


def test_fp16_with_its_scaler_goes_on_exactly(
    workplace: Workplace, tmp_path: Path, assert_same_training: Same
) -> None:
    """The loss scale is part of the saved state."""
    fp16: dict[str, Any] = {"training": {"precision": "fp16", "epochs": 1}}
    untouched = Workplace(tmp_path / "untouched")
    untouched.run(changes=fp16)
    untouched.close()
    trainer = workplace.start(changes=fp16, hold="step 12/")
    assert trainer.wait_for("step 12/")
    trainer.process.kill()
    trainer.end()
    workplace.run("--resume", "auto", changes=fp16)
    assert (workplace.outputs / "checkpoint-epoch-1" / "scaler.pt").exists()
    assert_same_training(untouched.outputs, workplace.outputs)
