"""`checkpoints: {interval: auto}` in a loop with a Checkpointer: real files, ranks that agree."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from supervisor.core.json_form import from_json, to_json
from supervisor.core.rules.save_interval import best_interval_s
from supervisor.core.save_terms import SAVE_TERMS, SAVES_TOLD, SavesTold, SaveTerms
from supervisor.torch import Checkpointer, SaveAgreement, checkpointer, load
from supervisor.torch.save_agreement import device_kind
from tests.checkpointer.conftest import Training, assert_same

Make = Callable[..., Checkpointer]
AGREEING = Path(__file__).with_name("agreeing.py")
ROOT = Path(__file__).resolve().parents[2]
TERMS = SaveTerms(failures=200, trained_s=200 * 3600.0, recovery_s=30.0)


class ControlledCost:
    """The Checkpointer's clock: steps and saves take what a test says."""

    def __init__(self, save_s: float) -> None:
        self.now, self.save_s = 0.0, save_s

    def monotonic(self) -> float:
        """What the Checkpointer reads."""
        return self.now

    def collect(self) -> dict[str, Any]:
        """A source whose state takes long to get."""
        self.now += self.save_s
        return {}


@pytest.fixture
def heartbeats(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The heartbeat directory of a run with `interval: auto`."""
    directory = tmp_path / "heartbeats"
    directory.mkdir()
    monkeypatch.setenv("SUPERVISOR_HEARTBEAT", str(directory))
    monkeypatch.setenv("SUPERVISOR_ATTEMPT", "3")
    monkeypatch.setenv(SAVE_TERMS, json.dumps(to_json(TERMS)))
    return directory


def told(heartbeats: Path) -> SavesTold | None:
    """What the loop has told the supervisor of its saves."""
    path = heartbeats / SAVES_TOLD
    return from_json(SavesTold, json.loads(path.read_text())) if path.exists() else None


def test_a_loop_saves_when_the_formula_says(
    make: Make, out: Path, heartbeats: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The configuration outranks the loop's own number; the checkpoints lie at the right steps."""
    clock = ControlledCost(save_s=3.0)
    monkeypatch.setattr(checkpointer, "time", SimpleNamespace(monotonic=clock.monotonic))
    training = Training()
    sources = {**training.sources, "slow.pt": clock.collect}
    keep = make(sources, snapshot_steps=0, save_steps=7)
    steps, news = [], []
    for _ in range(400):
        step = training.step()
        clock.now += 10.0
        if keep.after_step(step) is not None:
            steps.append(step)
            keep.drain()  # the disk takes each of them
        news += keep.news()
    keep.drain()
    news += keep.news()
    assert steps[:2] == [7, 19]  # a minute after the first step, then two
    best_s = best_interval_s(3.0, TERMS.mttf_s(4000.0), TERMS.recovery_s)
    assert 120 < best_s < 240
    assert (steps[-1] - steps[-2]) * 10 + 3 == pytest.approx(best_s, abs=13)
    assert {one.step for one in news if one.ok} == set(steps)
    assert {path.name for path in out.glob("checkpoint-*")} == {f"checkpoint-{n}" for n in steps}
    said = told(heartbeats)
    assert said is not None
    assert (said.attempt, said.auto, said.save_s, said.nodes) == (3, True, 3.0, 1)
    assert said.interval_s == pytest.approx(best_s, rel=0.02)


def test_a_loop_that_waits_for_each_save_finds_its_interval_too(
    make: Make, heartbeats: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait is what a save costs such a loop."""
    clock = ControlledCost(save_s=3.0)
    monkeypatch.setattr(checkpointer, "time", SimpleNamespace(monotonic=clock.monotonic))
    training = Training()
    keep = make({**training.sources, "slow.pt": clock.collect}, snapshot_steps=0)
    between = []
    for _ in range(400):
        step = training.step()
        clock.now += 10.0
        if keep.is_save_due(step):
            between.append(step)
            taken = keep.save(step, wait=True)
            assert taken.saved is not None
            assert taken.saved.ok
    best_s = best_interval_s(3.0, TERMS.mttf_s(4000.0), TERMS.recovery_s)
    assert (between[-1] - between[-2]) * 10 + 3 == pytest.approx(best_s, abs=13)
    said = told(heartbeats)
    assert said is not None
    assert (said.auto, said.save_s) == (True, 3.0)


def test_it_tells_at_once_that_it_follows(make: Make, heartbeats: Path) -> None:
    """The supervisor must not say that the key has no effect before the first save."""
    training = Training()
    keep = make(training.sources)
    assert told(heartbeats) is None
    keep.after_step(training.step())
    said = told(heartbeats)
    assert said is not None
    assert (said.auto, said.interval_s, said.save_s) == (True, 60.0, None)


def test_a_loop_that_calls_save_by_itself_says_so(make: Make, heartbeats: Path) -> None:
    """Nothing asks when a save is due: the supervisor has to know that."""
    training = Training()
    keep = make(training.sources)
    keep.save(training.step(), wait=True)
    said = told(heartbeats)
    assert said is not None
    assert said.auto is False
    waited_s = said.save_s
    assert waited_s is not None
    assert waited_s > 0
    keep.save(training.step())
    said = told(heartbeats)
    assert said is not None
    assert said.save_s is not None
    assert 0 < said.save_s != waited_s


def test_a_heartbeat_directory_that_is_gone_costs_nothing(make: Make, heartbeats: Path) -> None:
    """The training goes on."""
    heartbeats.rmdir()
    training = Training()
    keep = make(training.sources)
    keep.after_step(training.step())
    taken = keep.save(training.step(), wait=True)
    assert taken.saved is not None
    assert taken.saved.ok


def test_without_a_supervisor_auto_goes_by_clusters(make: Make, out: Path) -> None:
    """`save_steps="auto"`; without it only a number of steps counts."""
    training = Training()
    keep = make(training.sources, save_steps="auto")
    assert keep.after_step(training.step()) is None
    with pytest.raises(ValueError, match="save_steps"):
        Checkpointer(training.sources, directory=out, save_steps="now and then")


def test_a_resume_with_another_interval_is_bit_equal(
    make: Make, out: Path, heartbeats: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights depend on no save: a fixed number of steps, then auto from its checkpoint."""
    clock = ControlledCost(save_s=0.5)
    monkeypatch.setattr(checkpointer, "time", SimpleNamespace(monotonic=clock.monotonic))

    def train(training: Training, keep: Checkpointer, until: int) -> None:
        while training.steps < until:
            step = training.step()
            clock.now += 5.0
            random = bytes(torch.get_rng_state().numpy())
            if keep.after_step(step, files={"random.bin": random}) is not None:
                keep.drain()

    alone = Training()
    while alone.steps < 120:
        alone.step()
    monkeypatch.delenv(SAVE_TERMS)
    first = Training()
    keep = make(first.sources, snapshot_steps=0, save_steps=25)
    train(first, keep, 60)
    keep.drain()
    keep.close()
    monkeypatch.setenv(SAVE_TERMS, json.dumps(to_json(TERMS)))
    found, again = load(out / "checkpoint-50"), Training(seed=5)
    again.model.load_state_dict(found["model.pt"])
    again.optimizer.load_state_dict(found["optimizer.pt"])
    random = (out / "checkpoint-50" / "random.bin").read_bytes()
    torch.set_rng_state(torch.frombuffer(bytearray(random), dtype=torch.uint8))
    again.steps = 50
    later = make(again.sources, snapshot_steps=0, save_steps=25)
    train(again, later, 120)
    later.drain()
    assert (out / "checkpoint-63").exists()  # a minute after the first step, not at a multiple
    assert_same(again.state(), alone.state())


@pytest.mark.parametrize("backend", ["gloo", "cpu:gloo"])
def test_two_ranks_agree(out: Path, backend: str) -> None:
    """Both save at the same steps, by rank 0's clock, and exchange words at few of all steps."""
    terms = SaveTerms(min_s=0.1, max_s=0.2)
    environ = {**os.environ, "PYTHONPATH": str(ROOT), SAVE_TERMS: json.dumps(to_json(terms))}
    ranks = [
        subprocess.Popen(
            [sys.executable, str(AGREEING), str(rank), str(out), backend],
            env={**environ, "RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    said = [json.loads(rank.communicate(timeout=120)[0]) for rank in ranks]
    assert said[0] == said[1]
    assert said[0]["due"]
    assert said[0]["gathered"] == [2.0 * step for step in said[0]["due"]]
    assert said[0]["words"] < 150
    saved = {load(path)["training_state.json"]["gathered"] for path in out.glob("checkpoint-*")}
    assert saved
    assert saved <= set(said[0]["gathered"])


def test_an_agreement_of_one(make: Make, out: Path) -> None:
    """Without torch.distributed it is the Checkpointer's own answer; without one, an error."""
    keep = make(Training().sources, save_steps=5)
    saves = SaveAgreement(keep)
    assert [step for step in range(1, 21) if saves.is_due(step)] == [5, 10, 15, 20]
    with pytest.raises(ValueError, match="first rank"):
        SaveAgreement(None)


def test_steps_that_begin_again_are_asked_of_again(make: Make) -> None:
    """A second stage of a training counts from 1."""
    saves = SaveAgreement(make(Training().sources, save_steps=5))
    assert [step for step in (*range(1, 9), *range(1, 13)) if saves.is_due(step)] == [5, 5, 10]


@pytest.mark.parametrize(
    ("backends", "kind"),
    [("cpu:gloo,cuda:nccl", "cpu"), ("cuda:nccl", "cuda"), ("cpu:gloo", "cpu"), ("xpu:xccl", "xpu"),
     ("cuda:gloo,cpu:gloo", "cpu")],
)  # fmt: skip
def test_words_are_exchanged_on_a_device_that_the_group_takes(backends: str, kind: str) -> None:
    """The backend's name says it for each kind of device."""
    assert device_kind(backends) == kind


@pytest.mark.parametrize(
    ("ranks", "save_steps", "agrees", "warned"),
    [("2", "auto", False, 1), ("2", "auto", True, 0), ("1", "auto", False, 0), ("2", 5, False, 0)],
)
def test_a_rank_that_decides_alone_is_warned_of_once(
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    ranks: str,
    save_steps: int | str,
    *,
    agrees: bool,
    warned: int,
) -> None:
    """Other ranks would wait for ever in what gathers a state."""
    monkeypatch.setenv("WORLD_SIZE", ranks)
    keep = make(Training().sources, save_steps=save_steps)
    asked = SaveAgreement(keep).is_due if agrees else keep.is_save_due
    for step in range(1, 9):
        asked(step)
    assert caplog.text.count("SaveAgreement") == warned
