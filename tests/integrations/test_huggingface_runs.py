"""Unchanged scripts of transformers' Trainer under `supervisor run`, with all that may happen."""

import hashlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Supervised
from tests.integrations.trainers import ONE_THREAD, SCRIPTS, trainers_python

pytestmark = [pytest.mark.trainers, pytest.mark.timeout(1500)]
# A launch imports torch and transformers.
PATIENCE_S = 600.0
SLOW = ("--example_s", "0.03", "--eval_example_s", "1")
FAST = ("--example_s", "0", "--eval_example_s", "0")


class Training(Supervised):
    """A run of a script of the trainers' own Python, and the same script alone."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.python_of_trainer = trainers_python("transformers")
        self.out = folder / "out"

    def use(self, *words: str, ranks: int = 1, faults: str = "", **more: Any) -> None:
        """Have this script run; nothing else is configured but what makes a test short."""
        self.configure(
            command=self.words(*words, ranks=ranks), env={**ONE_THREAD, "FAULTS": faults},
            grace="60s", watch={"heartbeat_timeout": "15s"}, **more,
        )  # fmt: skip

    def words(self, *words: str, ranks: int = 1) -> list[str]:
        """The command: a script and its arguments, on one rank or more."""
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
        return [
            self.python_of_trainer, *(torchrun if ranks > 1 else []), str(SCRIPTS / words[0]),
            *words[1:],
        ]  # fmt: skip

    def alone(self, *words: str, ranks: int = 1) -> Path:
        """Run the same script uninterrupted and without a supervisor; the folder it ran in."""
        folder = self.folder / "alone"
        folder.mkdir()
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        subprocess.run(
            self.words(*words, ranks=ranks), cwd=folder, env={**kept, **ONE_THREAD}, check=True,
            capture_output=True, timeout=PATIENCE_S,
        )  # fmt: skip
        return folder

    def at(self, step: int, attempt: int) -> int:
        """Wait until an attempt is at a step; the trainer's pid."""

        def reached() -> int | None:
            status = self.status
            here = status.get("attempt") == attempt and status.get("state") == "running"
            return status["pids"]["trainer"] if here and (status.get("step") or 0) >= step else None

        return int(self.wait(reached, PATIENCE_S))

    def run(self, *options: str) -> int:
        """Start, and wait for the end; the exit code."""
        self.start(*options)
        return self.finish(PATIENCE_S)

    def stop(self) -> None:
        """Ask `supervisor run` to stop, as a scheduler does, and wait for its end."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        self.finish(PATIENCE_S)

    def checkpoint(self, step: int) -> Path:
        """The folder of a checkpoint."""
        return self.out / f"checkpoint-{step}"

    def newest_step(self) -> int:
        """The step of the newest checkpoint."""
        return max(int(path.name.split("-")[1]) for path in self.out.glob("checkpoint-*"))


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Training]:
    """A run whose configuration names the command alone."""
    made = Training(tmp_path)
    yield made
    made.close()


def weights(folder: Path) -> dict[str, str]:
    """The digests of all models below a folder, by their place."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("model.safetensors"))
    }


def test_an_unchanged_script_is_carried_through(training: Training) -> None:
    """Two kills, an exception, a hang, a stop, a torn checkpoint, a stop in a long evaluation."""
    arguments = (
        "causal_lm.py", "--output_dir", "out", "--per_device_train_batch_size", "4",
        "--num_train_epochs", "2", "--logging_steps", "1", "--save_steps", "8", "--report_to",
        "none", "--seed", "3", "--eval_strategy", "steps", "--eval_steps", "60",
        "--learning_rate", "0.01",
    )  # fmt: skip
    alone = training.alone(*arguments, *FAST)
    training.use(*arguments, *SLOW)
    training.start()
    os.kill(training.at(10, 1), signal.SIGKILL)
    os.kill(training.at(18, 2), signal.SIGKILL)
    training.at(26, 3)
    (training.folder / "fault").touch()
    os.kill(training.at(34, 4), signal.SIGSTOP)
    training.at(42, 5)
    training.stop()
    assert "saved at step" in training.text
    stopped_at = training.newest_step()
    with (training.checkpoint(stopped_at) / "model.safetensors").open("r+b") as file:
        file.truncate(1000)
    training.start()
    assert stopped_at > 40
    training.at(41, 6)
    training.wait(lambda: training.status.get("phase") == "eval", PATIENCE_S)
    training.stop()
    assert training.checkpoint(60).joinpath("trainer_state.json").exists()
    assert "the stop cut the evaluation after step 60 short" in training.text
    assert training.run() == 0
    causes = [entry["reason"] for entry in training.entries("attempt_ended")]
    assert training.status["step"] == training.status["total"] == 80, causes
    assert weights(training.out)["model.safetensors"] == weights(alone / "out")["model.safetensors"]
    final = training.checkpoint(80) / "optimizer.pt"
    assert final.read_bytes() == (alone / "out" / "checkpoint-80" / "optimizer.pt").read_bytes()


def test_two_ranks_leave_at_one_step(training: Training) -> None:
    """Under torchrun: kills of both ranks, an exception, a hang, a stop, a torn checkpoint.

    And a stop in a long evaluation.
    """
    arguments = (
        "causal_lm.py", "--output_dir", "out", "--per_device_train_batch_size", "2",
        "--num_train_epochs", "1", "--logging_steps", "1", "--save_steps", "5", "--report_to",
        "none", "--seed", "3", "--eval_strategy", "steps", "--eval_steps", "35",
        "--learning_rate", "0.01", "--per_device_eval_batch_size", "1", "--use_cpu",
    )  # fmt: skip
    alone = training.alone(*arguments, *FAST, ranks=2)
    faults = "kill@7,kill1@12,exception1@17,hang@22,stop@27,stopval@35"
    training.use(*arguments, "--eval_example_s", "2", ranks=2, faults=faults)
    assert training.run() == 75
    stopped_at = training.newest_step()
    assert f"stopped by SIGTERM, saved at step {stopped_at}" in training.text
    # The ranks agree on a step, which may come a little later.
    assert stopped_at in range(27, 34)
    with (training.checkpoint(stopped_at) / "model.safetensors").open("r+b") as file:
        file.truncate(1000)
    assert training.run() == 75
    assert "the stop cut the evaluation after step 35 short" in training.text
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= set(os.listdir(training.checkpoint(35)))
    training.use(*arguments, *FAST, ranks=2)
    assert training.run() == 0
    ended = [entry["failure"] for entry in training.entries("attempt_ended")]
    assert ended[:4] == ["killed", "killed", "exception", "hang"]
    begun = [entry["checkpoint"] for entry in training.entries("attempt_started")]
    before = (stopped_at - 1) // 5 * 5
    assert [one and one["step"] for one in begun] == [None, 5, 10, 15, 20, before, 35]
    assert weights(training.out)["model.safetensors"] == weights(alone / "out")["model.safetensors"]


@pytest.mark.parametrize(
    ("plan", "faults"),
    [
        ("stages", "kill@8,kill@108"),
        ("folds", "kill@8,kill@108,kill@208"),
        ("helper", "kill@8,kill@108"),
        # One process trains before the main one does, another while it does.
        ("process", "kill@8,kill@108,kill@208"),
    ],
)
def test_a_checkpoint_goes_into_the_training_that_wrote_it(
    training: Training, plan: str, faults: str
) -> None:
    """A kill in each of a script's trainings: all models are those of the uninterrupted script."""
    alone = training.alone("several.py", plan)
    training.use("several.py", plan, faults=faults)
    assert training.run() == 0
    assert len(training.entries("attempt_ended")) == len(faults.split(",")) + 1
    assert weights(training.folder / "kept") == weights(alone / "kept")
