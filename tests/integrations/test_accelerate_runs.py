"""`accelerate launch` with scripts of transformers' Trainer, and with a loop of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integrations.runs import PATIENCE_S, CommandRun, digests, same_checkpoint
from tests.integrations.trainers import SCRIPTS

pytestmark = [pytest.mark.trainers, pytest.mark.timeout(900)]
TRAINER = (
    str(SCRIPTS / "causal_lm.py"), "--output_dir", "out", "--max_steps", "20", "--logging_steps",
    "1", "--save_steps", "5", "--report_to", "none", "--seed", "3", "--learning_rate", "0.01",
    "--per_device_train_batch_size", "2", "--use_cpu",
)  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Iterator[CommandRun]:
    """A run of `accelerate launch`."""
    made = CommandRun(tmp_path, "accelerate")
    yield made
    made.close()


def launch(run: CommandRun, ranks: int) -> tuple[str, ...]:
    """The words before the script; several ranks are several processes with gloo."""
    several = ("--multi_gpu", "--main_process_port", "0") if ranks > 1 else ("--cpu",)
    return (run.tool("accelerate"), "launch", *several, "--num_processes", str(ranks))


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_trainers_script_is_carried_through(run: CommandRun, ranks: int) -> None:
    """A kill of a rank, a stop whose checkpoint is torn: the end is the uninterrupted one's."""
    killed = f"kill{ranks - 1}"
    run.use(*launch(run, ranks), *TRAINER, name="causal_lm", faults=f"{killed}@8,stop@13")
    alone = run.alone()
    assert run.ends() == 75
    # Several ranks agree on a step, which may come a little later.
    torn = run.tear_newest()
    assert f"stopped by SIGTERM, saved at step {torn}" in run.text
    assert torn >= 13
    assert run.ends() == 0
    assert run.failures() == ["killed", "preempted", "completed"]
    assert run.resumed() == [None, 5, (torn - 1) // 5 * 5]
    assert run.status["step"] == run.status["total"] == 20
    assert run.status["adapter"].startswith("huggingface 5.")
    generators = ["rng_state.pth"] if ranks == 1 else ["rng_state_0.pth", "rng_state_1.pth"]
    assert same_checkpoint(
        run.out / "checkpoint-20", alone / "out" / "checkpoint-20", "model.safetensors",
        "optimizer.pt", "scheduler.pt", *generators,
    )  # fmt: skip


def test_a_loop_of_its_own_is_told_how_to_resume(run: CommandRun) -> None:
    """The shape of diffusers' examples: after a kill the terminal says the line to write.

    Such a loop cannot go on inside an epoch, so these checkpoints are of the epochs' ends.
    """
    loop = (
        str(SCRIPTS / "accelerate_loop.py"), "--output_dir", "out", "--max_train_steps", "24",
    )  # fmt: skip
    run.use(*launch(run, 1), *loop, name="accelerate_loop", faults="kill@13,stop@18")
    alone = run.alone()
    config = run.folder / "config.yaml"
    written = run.raw("init", str(config), "--", *run.words)
    assert written.returncode == 0, written.stderr
    run.run_dir.mkdir(parents=True)
    text = config.read_text().replace("\nname: ", f"\ncwd: {run.folder}\nname: ")
    text = text.replace(f"name: {run.folder.name}", "name: accelerate_loop")
    run.config.write_text(text + "checkpoints: {directory: out}\n")
    assert run.ends() == 1
    assert "the trainer is not told to resume" in run.text
    said = "accelerate: `resume: {args: [--resume_from_checkpoint, '{checkpoint}']}`"
    assert said in run.text
    run.add(resume={"args": ["--resume_from_checkpoint", "{checkpoint}"]})
    assert run.command("resume").returncode == 0
    run.start()
    assert run.finish(PATIENCE_S) == 75
    assert "saved at step 15; 2 steps since then are lost" in run.text.splitlines()[-1]
    assert run.tear_newest() == 15
    assert run.ends() == 0
    assert run.resumed() == [None, 10, 10]
    assert same_checkpoint(
        run.out / "checkpoint-20", alone / "out" / "checkpoint-20", "model.safetensors",
        "optimizer.bin", "scheduler.bin",
    )  # fmt: skip
    assert digests(run.out, "final.pt") == digests(alone / "out", "final.pt")
