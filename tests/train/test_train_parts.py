"""The trainer's parts, each compared with the original that it replaces."""

import copy
import json
import math
from pathlib import Path

import pytest
import torch

from train.config import OptimizerConfig, ScheduleConfig
from train.data import epoch_order
from train.ema import EMA
from train.log import duration
from train.metrics import Metrics, StepMetrics
from train.optimizer import build_optimizer
from train.schedule import WarmupCosine


def test_the_optimizer_is_torchs_adamw() -> None:
    """Weights and state equal those of torch's AdamW, bit for bit, after ten steps and a reload."""
    torch.manual_seed(0)
    mine, theirs = torch.nn.Linear(5, 3), torch.nn.Linear(5, 3)
    theirs.load_state_dict(mine.state_dict())
    config = OptimizerConfig()
    ours = build_optimizer(mine, config)
    reference = torch.optim.AdamW(
        theirs.parameters(), lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1
    )
    for step in range(10):
        batch = torch.randn(4, 5)
        for model, optimizer in ((mine, ours), (theirs, reference)):
            optimizer.zero_grad()
            model(batch).square().sum().backward()
            optimizer.step()
        if step == 5:
            ours.load_state_dict(copy.deepcopy(reference.state_dict()))
    assert all(map(torch.equal, mine.parameters(), theirs.parameters()))
    assert ours.state_dict()["param_groups"] == reference.state_dict()["param_groups"]


def test_the_schedule_warms_up_and_falls() -> None:
    """The rate rises linearly, falls by cosine, then stays constant; torch's state loads."""
    config = ScheduleConfig(warmup_steps=4, total_steps=None, final_ratio=0.1)
    schedule = WarmupCosine(config, 1.0, 24)
    rates = []
    for _ in range(30):
        rates.append(schedule.learning_rate())
        schedule.advance()
    assert rates[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rates[14] == pytest.approx(0.55)
    assert rates[24:] == [pytest.approx(0.1)] * 6
    schedule.load_state_dict({"last_epoch": 14, "_step_count": 15, "base_lrs": [1.0]})
    assert schedule.learning_rate() == rates[14]


def test_ema_follows_and_keeps_tied_weights_tied() -> None:
    """EMA is decay·average + (1-decay)·weight, under both names of a tied weight, once a step."""
    model = torch.nn.Sequential(
        torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 2, bias=False)
    )
    model[1].weight = model[0].weight
    ema = EMA(model, 0.9)
    start = model[0].weight.detach().clone()
    with torch.no_grad():
        model[0].weight.add_(1.0)
    ema.update()
    torch.testing.assert_close(ema.weights["0.weight"], start + 0.1)
    assert ema.weights["0.weight"] is ema.weights["1.weight"]


def test_the_order_of_an_epoch_depends_on_seed_and_epoch_alone() -> None:
    """Another epoch has another order, no sample occurs twice, and torch's random state is kept."""
    before = torch.get_rng_state()
    first, again = epoch_order(103, 10, 1, 0), epoch_order(103, 10, 1, 0)
    assert first == again
    assert first != epoch_order(103, 10, 1, 1)
    assert first != epoch_order(103, 10, 2, 0)
    samples = [index for batch in first for index in batch.indices]
    assert len(samples) == len(set(samples)) == 100
    assert torch.equal(before, torch.get_rng_state())


def write_steps(metrics: Metrics, steps: range) -> None:
    """Write lines for these steps."""
    for step in steps:
        metrics.add(StepMetrics(step, 0, torch.tensor(1 / step), 0.1, torch.tensor(2.0)))
    metrics.collect()
    metrics.write()


def steps_in(path: Path) -> list[int]:
    """The steps in the file, of which all lines are whole."""
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


@pytest.mark.parametrize("count", [10, 5000])
def test_metrics_are_cut_and_made_again(tmp_path: Path, count: int) -> None:
    """No step is missing or doubled, whatever tail a killed run has left."""
    path = tmp_path / "metrics.jsonl"
    write_steps(Metrics(path), range(1, count + 1))
    with path.open("a") as file:
        file.write('{"step": 11, "lo')
    metrics = Metrics(path)
    metrics.cut_after(7)
    assert steps_in(path) == list(range(1, 8))
    write_steps(metrics, range(8, 13))
    assert steps_in(path) == list(range(1, 13))
    metrics.cut_after(0)
    assert path.read_bytes() == b""


def test_the_last_line_can_be_completed(tmp_path: Path) -> None:
    """An evaluation that a stop cut off is added to its step's line later."""
    path = tmp_path / "metrics.jsonl"
    write_steps(Metrics(path), range(1, 4))
    metrics = Metrics(path)
    metrics.cut_after(3, reopen_last=True)
    metrics.amend(3, val_loss=0.5)
    metrics.write()
    assert steps_in(path) == [1, 2, 3]
    assert json.loads(path.read_text().splitlines()[-1])["val_loss"] == 0.5


def test_a_failed_write_is_made_up_for(tmp_path: Path) -> None:
    """Lines that the disk refused are written later, once and in order."""
    path = tmp_path / "metrics.jsonl"
    metrics = Metrics(path)
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        write_steps(metrics, range(1, 4))
    path.rmdir()
    write_steps(metrics, range(4, 6))
    assert steps_in(path) == [1, 2, 3, 4, 5]


def test_the_first_non_finite_loss_is_found(tmp_path: Path) -> None:
    """JSON has no NaN, so the line has null, and the first such step is known."""
    metrics = Metrics(tmp_path / "m")
    for step, loss in ((1, 1.0), (2, math.nan), (3, math.inf)):
        metrics.add(StepMetrics(step, 0, torch.tensor(loss), 0.1, torch.tensor(1.0)))
    metrics.collect()
    metrics.write()
    assert metrics.first_non_finite == 2
    losses = [json.loads(line)["loss"] for line in (tmp_path / "m").read_text().splitlines()]
    assert losses == [1.0, None, None]


@pytest.mark.parametrize(
    ("seconds", "text"), [(41.6, "42s"), (185, "3m05s"), (7620, "2h07m"), (273600, "3d04h")]
)
def test_durations_read_well(seconds: float, text: str) -> None:
    """Durations are written as people say them."""
    assert duration(seconds) == text
