"""Options of transformers' Trainer that meet a supervisor's resumes and stops."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integrations.runs import PATIENCE_S, CommandRun, digests, same_checkpoint

pytestmark = [pytest.mark.trainers, pytest.mark.timeout(900)]
COMMON = (
    "--output_dir", "out", "--per_device_train_batch_size", "4", "--logging_steps", "1",
    "--save_steps", "5", "--report_to", "none", "--seed", "3", "--learning_rate", "0.01",
)  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Iterator[CommandRun]:
    """A run of a script of transformers' Trainer."""
    made = CommandRun(tmp_path, "transformers")
    yield made
    made.close()


def test_more_steps_are_asked_for_between_two_starts(run: CommandRun) -> None:
    """Another `--max_steps`: refused with the way to do it, then total and resumes follow.

    The run was stopped the first time, and finished the second time.
    """
    constant = (*COMMON, "--lr_scheduler_type", "constant", "--push_to_hub", "False")
    run.use_script("causal_lm.py", *constant, "--max_steps", "24", faults="stop@8,kill@17")
    alone = run.alone()
    run.words[-1] = "10"
    assert run.ends() == 75
    assert run.status["total"] == 10
    run.words[-1] = "12"
    assert run.ends() == 78
    assert "--max_steps 10 is now --max_steps 12" in run.text
    assert f"change `command` in {run.config.relative_to(run.folder)}" in run.text
    run.add(command=run.words)
    assert run.ends() == 0
    assert run.status["step"] == run.status["total"] == 12
    run.words[-1] = "24"
    run.add(command=run.words)
    run.start("--again")
    assert run.finish(PATIENCE_S) == 0
    assert run.resumed() == [None, 8, 12, 15]
    assert run.status["step"] == run.status["total"] == 24
    assert same_checkpoint(
        run.out / "checkpoint-24", alone / "out" / "checkpoint-24", "model.safetensors",
        "optimizer.pt", "rng_state.pth",
    )  # fmt: skip


def test_a_script_that_says_where_to_resume(run: CommandRun) -> None:
    """A path stands in attempt 1, `True` becomes none; this run's own newer ones follow."""
    before = run.folder / "before"
    run.use_script("causal_lm.py", *COMMON, "--max_steps", "20")
    (run.alone() / "out").rename(before)
    asked = ("--resume_from_checkpoint", str(before / "checkpoint-10"))
    run.use_script("causal_lm.py", *COMMON, "--max_steps", "20", *asked, faults="kill@12,kill@18")
    assert run.ends() == 0
    assert run.resumed() == [None, None, 15]
    own = run.out / "checkpoint-15"
    assert f"resumed from {own}, and not from {asked[1]}, which the script names" in run.text
    # Neither attempt trained the steps before the named checkpoint.
    assert not (run.out / "checkpoint-5").exists()
    assert digests(run.out)["model.safetensors"] == digests(before)["model.safetensors"]
    run.out.rename(run.folder / "first")
    shutil.rmtree(run.run_dir)
    for fault in run.folder.glob("did-*"):
        fault.unlink()
    run.use_script("causal_lm.py", *COMMON, "--max_steps", "20", "--newest", faults="kill@3,kill@8")
    assert run.ends() == 0
    assert run.resumed() == [None, None, 5]
    assert digests(run.out)["model.safetensors"] == digests(before)["model.safetensors"]


def test_the_best_model_is_kept_and_loaded(run: CommandRun) -> None:
    """`load_best_model_at_end` with `save_total_limit=1`: a stop loads nothing, removes nothing."""
    best = (
        "--eval_strategy", "steps", "--eval_steps", "5", "--load_best_model_at_end",
        "--save_total_limit", "1", "--metric_for_best_model", "eval_loss", "--max_steps", "23",
    )  # fmt: skip
    # With a high rate the loss rises again, so that the best checkpoint is not the last one.
    run.use_script(
        "causal_lm.py", *COMMON, *best, "--learning_rate", "0.3", faults="kill@12,stop@18"
    )
    alone = run.alone()
    assert run.ends() == 75
    kept = sorted(path.name for path in run.out.glob("checkpoint-*"))
    state = json.loads((run.out / "checkpoint-18" / "trainer_state.json").read_text())
    assert kept == sorted({Path(state["best_model_checkpoint"]).name, "checkpoint-18"})
    assert len(kept) == 2
    assert run.status["described"]["best"] == str(run.folder / state["best_model_checkpoint"])
    assert run.ends() == 0
    assert run.resumed() == [None, 10, 18]
    assert digests(run.out)["model.safetensors"] == digests(alone / "out")["model.safetensors"]


def test_a_callback_ends_the_training_early(run: CommandRun) -> None:
    """`should_training_stop` of the user's own is the end, although the total is not reached."""
    enough = (*COMMON, "--max_steps", "40", "--enough_at", "13")
    run.use_script("causal_lm.py", *enough, faults="kill@8,stop@12")
    alone = run.alone()
    assert run.ends() == 75
    assert run.ends() == 0
    assert run.resumed() == [None, 5, 12]
    assert run.status["state"] == "completed"
    assert (run.status["step"], run.status["total"]) == (13, 40)
    assert digests(run.out)["model.safetensors"] == digests(alone / "out")["model.safetensors"]
    assert run.ends() == 0
    assert len(run.entries("attempt_started")) == 3
