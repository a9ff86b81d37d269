"""The reference trainer under a supervisor: killed, it resumes from memory, to the same bits."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml

from supervisor.memory.slots import read_whole
from tests.e2e.conftest import Supervised
from tests.train.conftest import CORPUS, ROOT, TINY, Workplace, merge, newest_checkpoint

EVERY = 4
# Four samples a batch, two batches a step, no saves on the way. An attempt whose number is in HELD
# waits after 14 steps until it is killed or GATE exists.
SLOW = """
import os, time, torch

class Numbers:
    vocabulary = 8
    taken = 0
    is_held = os.environ.get("SUPERVISOR_ATTEMPT") in os.environ.get("HELD", "").split()
    def __len__(self):
        return 172
    def __getitem__(self, index):
        self.taken += 1
        while self.is_held and self.taken > 14 * 8 and not os.path.exists(os.environ["GATE"]):
            time.sleep(0.02)
        return torch.arange(8).roll(index), torch.arange(8).roll(index + 1)
"""
CHANGES = {
    "output_dir": None,
    "data": {"text": None, "factory": "slow:Numbers", "args": {}, "block_size": 8},
    "checkpoints": {"save_steps": 0, "every_epoch": False, "snapshot_steps": EVERY},
    "evaluation": {"steps": 0},
}


class Training(Supervised):
    """`python -m train` in a run directory."""

    def set_up(self, held: str) -> None:
        """Write the trainer's configuration and the supervisor's."""
        (self.folder / "corpus.txt").write_text(CORPUS)
        (self.folder / "slow.py").write_text(SLOW)
        (self.folder / "train.yaml").write_text(yaml.safe_dump(merge(TINY, CHANGES)))
        env = {"PYTHONPATH": os.pathsep.join((str(ROOT), str(self.folder))), "OMP_NUM_THREADS": "1"}
        env |= {"HELD": held, "GATE": str(self.gate)}
        self.configure(
            command=[sys.executable, "-m", "train", "--config", str(self.folder / "train.yaml")],
            env=env,
            watch={"heartbeat_timeout": "60s"},
        )

    @property
    def memory(self) -> Path:
        """The run's snapshot directory."""
        (created,) = self.wait(lambda: self.entries("run_created"))
        return Path(f"/dev/shm/train-supervisor-{os.getuid()}/{created['run_id']}/snapshots")

    def newest_in_memory(self) -> int:
        """The step of the newest whole snapshot."""
        wholes = read_whole(self.memory)
        return wholes[0].snapshot.step if wholes else -1


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Training]:
    """A run in a fresh directory."""
    (tmp_path / "supervised").mkdir()
    training = Training(tmp_path / "supervised")
    yield training
    training.close()
    if training.entries("run_created"):
        shutil.rmtree(training.memory.parent, ignore_errors=True)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Workplace]:
    """The same training without a supervisor or a fault."""
    place = Workplace(tmp_path / "alone")
    (place.path / "slow.py").write_text(SLOW)
    yield place
    place.close()


def equal(one: Path, other: Path) -> bool:
    """Whether two output directories end in the same weights and moments."""
    for name in ("model.pt", "ema_model.pt"):
        left = torch.load(newest_checkpoint(one) / name, weights_only=True)
        right = torch.load(newest_checkpoint(other) / name, weights_only=True)
        assert left.keys() == right.keys()
        if not all(torch.equal(left[key], right[key]) for key in left):
            return False
    return (one / "metrics.jsonl").read_text() == (other / "metrics.jsonl").read_text()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_kill_loses_less_than_two_intervals(run: Training, alone: Workplace) -> None:
    """After each of two SIGKILLs the next attempt resumes from memory; equal bits in the end."""
    run.set_up(held="1 2")
    run.start()
    for attempt, least in ((1, 12), (2, 24)):
        run.wait(lambda least=least: run.newest_in_memory() >= least)
        os.kill(run.status["pids"]["trainer"], signal.SIGKILL)
        run.wait(lambda at=attempt: len(run.entries("attempt_started")) > at)
        start = run.entries("attempt_started")[attempt]["checkpoint"]
        assert start["tier"] == "memory"
        assert start["step"] >= least
        ended = run.entries("attempt_ended")[attempt - 1]
        assert ended["step"] - start["step"] < 2 * EVERY
    assert run.finish() == 0
    assert not run.memory.parent.exists()
    assert run.log.count("resuming from /dev/shm/") == 2
    alone.run(changes=merge(CHANGES, {"output_dir": "outputs"}))
    assert equal(run.run_dir, alone.outputs)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_stop_is_durable_before_the_trainer_leaves(run: Training) -> None:
    """Exit 75 follows a checkpoint of the very last step, from which the next run resumes."""
    run.set_up(held="1")
    run.start()
    run.wait_step(10)
    assert run.process is not None
    run.process.send_signal(signal.SIGTERM)
    run.wait(lambda: run.entries("stop_requested"))
    run.let_go()
    assert run.finish() == 75
    (ended,) = run.entries("attempt_ended")
    assert (ended["code"], ended["saved"]) == (75, True)
    assert newest_checkpoint(run.run_dir).name == f"checkpoint-{ended['step']}"
    assert not run.memory.parent.exists()
    assert run.run() == 0
    assert run.entries("attempt_started")[1]["checkpoint"]["tier"] == "disk"
