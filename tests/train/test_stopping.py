"""A trainer that gets a stop saves and exits with 75, whatever it is doing."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor.worker.page_reading import read_page
from tests.train.conftest import RunningTrainer, Workplace, newest_checkpoint, start_cold

Same = Callable[[Path, Path], None]

# The dataset takes `slow` seconds for each sample.
SLOW = """
import time, torch

class Numbers:
    vocabulary = 8
    def __init__(self, slow, said=None):
        self.slow, self.said = slow, said
    def __len__(self):
        return 400
    def __getitem__(self, index):
        if self.said:
            print(self.said, flush=True)
            self.said = None
        time.sleep(self.slow)
        return torch.arange(8).roll(index), torch.arange(8).roll(index + 1)

def split(train, validation):
    return Numbers(train), Numbers(validation, "evaluating")

def backend(graph, inputs):
    print("compiling", flush=True)
    time.sleep(1)
    return graph.forward
"""


def slow(place: Workplace, train_s: float, validation_s: float) -> dict[str, Any]:
    """The user's dataset, with this much time for a sample."""
    (place.path / "slow.py").write_text(SLOW)
    arguments = {"train": train_s, "validation": validation_s}
    return {"text": None, "factory": "slow:split", "args": arguments, "block_size": 8}


def finish_like_the_reference(
    reference: Workplace, place: Workplace, same: Same, trainer: RunningTrainer
) -> None:
    """Assert that the stopped run saved its last step, and that its resumption ends alike."""
    assert trainer.end() == 75, trainer.output
    checkpoint = newest_checkpoint(place.outputs)
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    assert manifest["step"] == place.metrics()[-1]["step"]
    assert f"stopped on request at step {manifest['step']}" in trainer.output
    place.run("--resume", "auto")
    same(reference.outputs, place.outputs)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_stop_saves_and_exits_75(
    reference: Workplace,
    workplace: Workplace,
    assert_same_training: Same,
    number: signal.Signals,
) -> None:
    """The step is finished, an emergency checkpoint is written, and nothing is lost."""
    trainer = workplace.start(hold="step 12/")
    assert trainer.wait_for("step 12/")
    for _ in range(3):
        trainer.process.send_signal(number)
    trainer.let_go()
    finish_like_the_reference(reference, workplace, assert_same_training, trainer)


def test_workers_survive_a_stop_to_the_whole_group(workplace: Workplace) -> None:
    """After SIGTERM and SIGUSR1 to every process, the trainer saves and no process stays."""
    data = slow(workplace, 0.01, 0) | {"workers": 2}
    trainer = workplace.start(changes={"data": data, "evaluation": {"steps": 0}})
    assert trainer.wait_for("step 3/")
    os.killpg(trainer.process.pid, signal.SIGUSR1)
    os.killpg(trainer.process.pid, signal.SIGTERM)
    assert trainer.end() == 75, trainer.output
    step = newest_checkpoint(workplace.outputs).name.removeprefix("checkpoint-")
    assert int(step) >= 3
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        try:
            os.killpg(trainer.process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    pytest.fail("a data-loader worker is left")


def test_a_stop_in_an_evaluation(workplace: Workplace, tmp_path: Path) -> None:
    """The evaluation, of a minute, is abandoned, and is made when the run goes on."""
    changes = {
        "data": slow(workplace, 0, 0.15),
        "training": {"max_steps": 6},
        "evaluation": {"steps": 4, "batches": None},
    }
    trainer = workplace.start(changes=changes)
    assert trainer.wait_for("evaluating")
    started = time.monotonic()
    trainer.process.send_signal(signal.SIGTERM)
    assert trainer.end() == 75, trainer.output
    assert time.monotonic() - started < 30
    assert newest_checkpoint(workplace.outputs).name == "checkpoint-4"
    assert "val_loss" not in workplace.metrics()[-1]
    changes["data"]["args"]["validation"] = 0
    output = workplace.run("--resume", "auto", changes=changes)
    assert "evaluated at step 4" in output
    assert [line["step"] for line in workplace.metrics()] == [1, 2, 3, 4, 5, 6]
    assert "val_loss" in workplace.metrics()[3]


def test_a_stop_while_compiling(workplace: Workplace) -> None:
    """The first step is abandoned between two compilations: there is nothing to save."""
    data = slow(workplace, 0, 0)
    launcher = workplace.path / "with_backend.py"
    launcher.write_text(
        "import sys\n"
        "import torch._dynamo, slow\n"
        "torch._dynamo.register_backend(compiler_fn=slow.backend, name='dawdling')\n"
        "from train.__main__ import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    training = {"compile": True, "compile_backend": "dawdling"}
    workplace.configure({"data": data, "training": training})
    command = [workplace.command()[0], str(launcher), "--config", "config.yaml"]
    process = start_cold(command, workplace.path, workplace.environment())
    trainer = RunningTrainer(process, workplace.path / "gate")
    try:
        assert trainer.wait_for("compiling"), trainer.output
        trainer.process.send_signal(signal.SIGTERM)
        assert trainer.end() == 75, trainer.output
    finally:
        trainer.close()
    assert "stopped on request at step 0, resume from the beginning" in trainer.output
    assert list(workplace.outputs.glob("checkpoint-*")) == []


def handles_stops(pid: int) -> bool:
    """Whether a process catches SIGTERM: proc(5), SigCgt."""
    text = Path(f"/proc/{pid}/status").read_text()
    caught = next(line.split()[1] for line in text.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def test_a_stop_before_the_first_step(reference: Workplace, cold_workplace: Workplace) -> None:
    """A signal during the import of torch gives exit 75, and the old checkpoint still counts."""
    workplace = cold_workplace
    heartbeats = workplace.path / "heartbeats"
    heartbeats.mkdir()
    checkpoint = reference.outputs / "checkpoint-20"
    trainer = workplace.start(
        env={"SUPERVISOR_HEARTBEAT": str(heartbeats), "SUPERVISOR_RESUME_FROM": str(checkpoint)}
    )
    deadline = time.monotonic() + 50
    while read_page(heartbeats / "rank-0") is None or not handles_stops(trainer.process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    trainer.process.send_signal(signal.SIGTERM)
    assert trainer.end() == 75, trainer.output
    page = read_page(heartbeats / "rank-0")
    assert page is not None
    assert page.outcome is not None
    assert page.outcome.code == 75
    assert page.outcome.checkpoint == str(checkpoint)
    assert list(workplace.outputs.glob("checkpoint-*")) == []


def test_the_supervisor_decides_where_to_resume(reference: Workplace, workplace: Workplace) -> None:
    """The supervisor's checkpoint overrules --resume; the trainer neither prunes nor logs."""
    heartbeats = workplace.path / "heartbeats"
    heartbeats.mkdir()
    output = workplace.run(
        "--resume",
        str(reference.outputs / "checkpoint-5"),
        env={
            "SUPERVISOR_HEARTBEAT": str(heartbeats),
            "SUPERVISOR_RUN_DIR": str(workplace.path / "run"),
            "SUPERVISOR_RESUME_FROM": str(reference.outputs / "checkpoint-20"),
        },
        changes={"output_dir": None, "checkpoints": {"keep": 1}},
    )
    assert "checkpoint-20 at step 20" in output
    assert "not from --resume" in output
    kept = {path.name for path in (workplace.path / "run").glob("checkpoint-*")}
    assert kept >= {"checkpoint-25", "checkpoint-30", "checkpoint-35", "checkpoint-epoch-2"}
    assert not (workplace.path / "run" / "train.log").exists()
    page = read_page(heartbeats / "rank-0")
    assert page is not None
    assert page.step == 42
    assert page.outcome is not None
    assert page.outcome.code == 0
