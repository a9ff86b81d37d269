"""`checkpoints: {interval: auto}`: the reference trainer follows it, and others are told of."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import Supervised
from tests.e2e.test_reference_trainer import CHANGES, SLOW, Training, equal
from tests.train.conftest import ROOT, TINY, Workplace, merge

SAYING = Path(__file__).with_name("saying.py")
# The trainer's own number would save once; the configuration of the run outranks it.
SELDOM = merge(CHANGES, {"checkpoints": {"save_steps": 40, "snapshot_steps": 0}})


class AutoTraining(Training):
    """The reference trainer in a run with `interval: auto`."""

    def set_up(self, held: str) -> None:
        """Write both configurations; steps take milliseconds, so the bounds are narrow."""
        super().set_up(held)
        (self.folder / "train.yaml").write_text(yaml.safe_dump(merge(TINY, SELDOM)))
        body = yaml.safe_load(self.config.read_text())
        body["checkpoints"] = {"interval": "auto", "interval_min": "20ms", "keep": 50}
        self.config.write_text(yaml.safe_dump(body))

    def saved(self) -> list[int]:
        """The steps of the checkpoints on the disk."""
        return sorted(int(path.name.split("-")[1]) for path in self.run_dir.glob("checkpoint-*"))

    def chosen(self, attempt: int) -> list[dict[str, Any]]:
        """The intervals that an attempt has chosen."""
        return [one for one in self.entries("save_interval")
                if one["attempt"] == attempt and one.get("auto")]  # fmt: skip


@pytest.fixture
def training(tmp_path: Path) -> Iterator[AutoTraining]:
    """A run in a fresh directory."""
    (tmp_path / "supervised").mkdir()
    training = AutoTraining(tmp_path / "supervised")
    yield training
    training.close()
    if training.entries("run_created"):
        shutil.rmtree(training.memory.parent, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_killed_twice_it_saves_by_itself_to_the_same_bits(
    training: AutoTraining, tmp_path: Path
) -> None:
    """Chosen intervals are on record with the failures so far, and `status` shows the figure."""
    run = training
    run.set_up(held="1 2 3")
    run.start()
    for attempt in (1, 2, 3):
        # A later attempt may choose the interval of the one before, which is no new entry.
        if attempt == 1:
            assert run.wait(lambda: run.chosen(1))[-1]["auto"]["failures"] == 0
        if attempt == 3:
            break
        run.wait(run.saved)
        os.kill(run.status["pids"]["trainer"], signal.SIGKILL)
        run.wait(lambda at=attempt: len(run.entries("attempt_started")) > at)

    def figure() -> dict[str, Any] | None:
        """The figure, once the status is of the third attempt."""
        found = run.status.get("save_interval") or {}
        return found if found.get("auto") and found.get("failures") == 2 else None

    shown = run.wait(figure)
    assert 0 < shown["save_s"] < shown["best_s"]
    assert shown["mttf_s"] < 86_400
    assert shown["recovery_s"] > 0
    text = " ".join(run.command("status").stdout.split())
    assert "(interval: auto); the least is lost by every" in text
    assert "2 failures so far" in text
    assert not any("has no effect" in one for one in run.status["warnings"])
    run.let_go()
    assert run.finish() == 0
    steps = run.saved()
    assert len(steps) > 2  # by its own number there would be two: 40 and the last one
    intervals = [one["interval_s"] for one in run.entries("save_interval") if one.get("auto")]
    assert min(intervals) >= 0.02
    alone = Workplace(tmp_path / "alone")
    (alone.path / "slow.py").write_text(SLOW)
    alone.run(changes=merge(SELDOM, {"output_dir": "outputs"}), env={"PYTHONPATH": f"{ROOT}:."})
    alone.close()
    assert equal(run.run_dir, alone.outputs)


def test_a_trainer_that_does_not_follow_it_is_told_of(run: Supervised) -> None:
    """`check` cannot know it of this script; the run says it, and what to set instead."""
    env = {"SAVE_EVERY": 50, "KILL_AT": -1}
    run.configure(command=[sys.executable, str(SAYING)], env=env, checkpoints={"interval": "auto"})
    found = " ".join(run.raw("check", str(run.config)).stdout.split())
    assert "only a Checkpointer of supervisor.torch follows it" in found
    process = run.start()
    run.wait(lambda: [one for one in run.status.get("warnings", ()) if "no effect" in one])
    assert "huggingface 5.24.0 saves by its own options; set `save_steps:" in run.text
    process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    assert run.text.count("has no effect so far") == 1
    assert not [one for one in run.entries("save_interval") if one.get("auto")]
