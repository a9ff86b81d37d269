"""LoRA, supervised fine-tuning and `trl sft`, as they are, under `supervisor run -- …`."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integrations.runs import PATIENCE_S, CommandRun, digests, same_checkpoint
from tests.integrations.trainers import SCRIPTS

pytestmark = [pytest.mark.trainers, pytest.mark.timeout(900)]
COMMON = (
    "--output_dir", "out", "--per_device_train_batch_size", "4", "--logging_steps", "1",
    "--save_steps", "5", "--report_to", "none", "--seed", "3", "--learning_rate", "0.01",
)  # fmt: skip


# TRL's default is bf16, which needs a device; the model has 128 positions.
TRL = ("--bf16", "False", "--use_cpu", "--max_length", "64")


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[[str], CommandRun]]:
    """Make a run of a command that needs a library."""
    runs: list[CommandRun] = []

    def make(library: str) -> CommandRun:
        runs.append(CommandRun(tmp_path, library))
        return runs[-1]

    yield make
    for run in runs:
        run.close()


@pytest.mark.parametrize(
    ("kind", "library", "options", "weights"),
    [
        ("lora", "peft", (), "adapter_model.safetensors"),
        ("sft", "trl", TRL, "model.safetensors"),
    ],
    ids=["lora", "sft"],
)
def test_a_tuning_is_carried_through(
    made: Callable[[str], CommandRun],
    kind: str,
    library: str,
    options: tuple[str, ...],
    weights: str,
) -> None:
    """A kill, a stop whose checkpoint is torn, an exception: the end is the uninterrupted one's."""
    run = made(library)
    run.use_script(
        "tuned.py", kind, *COMMON, *options, "--max_steps", "24",
        faults="kill@8,stop@13,exception@19",
    )  # fmt: skip
    alone = run.alone()
    assert run.ends() == 75
    assert "stopped by SIGTERM, saved at step 13" in run.text
    assert run.tear_newest(weights) == 13
    assert run.ends() == 0
    assert run.failures() == ["killed", "preempted", "exception", "completed"]
    assert run.resumed() == [None, 5, 10, 15]
    assert run.status["step"] == run.status["total"] == 24
    assert run.status["adapter"].startswith("huggingface 5.")
    assert same_checkpoint(
        run.out / "checkpoint-24", alone / "out" / "checkpoint-24", weights, "optimizer.pt",
        "scheduler.pt", "rng_state.pth",
    )  # fmt: skip
    assert digests(run.out)[weights] == digests(alone / "out")[weights]


def test_the_console_script_of_trl(made: Callable[[str], CommandRun]) -> None:
    """`trl sft` with LoRA, which starts by `accelerate launch`: a kill, a stop, a torn newest."""
    run = made("trl")
    subprocess.run(
        [run.python_of_trainer, str(SCRIPTS / "tuned.py"), "made"], cwd=run.folder, check=True,
        capture_output=True, timeout=PATIENCE_S,
    )  # fmt: skip
    run.use(
        run.tool("trl"), "sft", "--model_name_or_path", str(run.folder / "model"),
        "--dataset_name", str(run.folder / "data"), *COMMON, *TRL, "--max_steps", "100",
        "--use_peft", "--lora_r", "4", "--lora_target_modules", "c_attn", "c_proj",
        name="trl",
    )  # fmt: skip
    alone = run.alone()
    run.start()
    run.wait(lambda: (run.out / "checkpoint-15" / "trainer_state.json").exists(), PATIENCE_S)
    os.kill(rank_of(run), signal.SIGKILL)
    run.wait(lambda: (run.out / "checkpoint-40" / "trainer_state.json").exists(), PATIENCE_S)
    run.process.send_signal(signal.SIGTERM)
    assert run.finish(PATIENCE_S) == 75
    assert "saved at step" in run.text
    stopped_at = run.tear_newest("adapter_model.safetensors")
    assert run.ends() == 0
    assert run.resumed()[2] < stopped_at
    assert run.status["step"] == run.status["total"] == 100
    assert same_checkpoint(
        run.out / "checkpoint-100", alone / "out" / "checkpoint-100",
        "adapter_model.safetensors", "optimizer.pt", "scheduler.pt",
    )  # fmt: skip


def rank_of(run: CommandRun) -> int:
    """The process that trains, a child of the one that was launched."""
    launched = run.status["pids"]["trainer"]
    children = Path(f"/proc/{launched}/task/{launched}/children").read_text().split()
    return int(children[0])
