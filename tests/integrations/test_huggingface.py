"""The adapter for transformers' Trainer, by small real trainings in one process each."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.trainers import ONE_THREAD, SCRIPTS, STARTUP, trainers_python

pytestmark = [pytest.mark.trainers, pytest.mark.timeout(600)]
CASES = SCRIPTS / "hf_cases.py"
MOST_US = 20.0


def cases(folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    """Run cases with the start-up hook and without this package."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [trainers_python("transformers"), str(CASES), str(folder), *names],
        env={**kept, **ONE_THREAD, "PYTHONPATH": str(STARTUP)},
        capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of all cases; the library is imported once."""
    done = cases(tmp_path_factory.mktemp("cases"))
    lines = [line for line in done.stdout.splitlines() if line.startswith("ANSWERS ")]
    assert lines, done.stderr[-4000:]
    return dict(json.loads(lines[0].removeprefix("ANSWERS ")))


def test_a_user_sees_the_librarys_own_method(answers: dict[str, Any]) -> None:
    """Signature, text, pickling and the list of callbacks are as without the adapter."""
    seen = answers["as_without"]["answer"]
    assert seen["signature"][:3] == ["self", "resume_from_checkpoint", "trial"]
    assert seen["doc"] == ["Main", "training", "entry", "point."]
    assert seen["source"] == ["def", "train"]
    assert seen["is_pickled"]
    assert seen["after"] == seen["before"] == seen["inside"][:-1]
    assert seen["inside"][-1] == "SupervisorCallback"
    assert seen["copied"] == ["TrainerCallback", "TrainerCallback"]


def test_trainings_are_counted(answers: dict[str, Any]) -> None:
    """A second training in one directory is another one, and described as such."""
    training = answers["as_without"]["described"]["training"]
    assert (training["ordinal"], training["began"], training["ended"]) == (2, 2, True)
    assert answers["as_without"]["described"]["total_steps"] == 2


def test_an_exception_passes_as_it_is(answers: dict[str, Any]) -> None:
    """No frame of the adapter is in the traceback, and the callback is taken out."""
    raising = answers["raising"]
    assert raising["answer"]["files"]
    assert not [name for name in raising["answer"]["files"] if "integrations/hugging" in name]
    assert raising["answer"]["callbacks"][-1] == "Bad"
    assert {line["ordinal"] for line in raising["record"]} == {2}


def test_a_training_inside_another_is_left_alone(answers: dict[str, Any]) -> None:
    """It is not described, records nothing, and has no callback of the adapter's."""
    nested = answers["nested"]
    assert nested["code"] == 0
    assert nested["answer"] == [["DefaultFlowCallback", "PrinterCallback"]]
    assert [line["step"] for line in nested["record"]] == [2, 4]
    assert nested["described"]["training"]["step"] == 4
    assert nested["described"]["training"]["ended"]


def test_the_callback_by_hand(answers: dict[str, Any]) -> None:
    """A callback that the script adds is the one used, also where Trainer.train is not."""
    by_hand = answers["by_hand"]
    assert by_hand["code"] == 0, by_hand
    assert by_hand["answer"]["kept"] == 3
    assert by_hand["answer"]["names"].count("Own") == 1
    assert "SupervisorCallback" not in by_hand["answer"]["names"]
    assert by_hand["answer"]["copy"] == "SupervisorCallback"
    where = [Path(line["directory"]).name for line in by_hand["record"]]
    assert where == ["out", "out", "out", "apart", "apart"]
    assert by_hand["described"]["training"]["ended"]


def test_no_tensor_is_read(answers: dict[str, Any]) -> None:
    """Logged tensors of a class that raises whatever is done with them harm nothing."""
    seen = answers["no_reading"]
    assert (seen["code"], seen["answer"], seen["described"]["told"]) == (0, 3, [])


def test_early_stopping_is_an_end(answers: dict[str, Any]) -> None:
    """A training that ends before its last step by its own decision has ended."""
    early = answers["early"]["early"]
    training = early["described"]["training"]
    assert training["ended"]
    assert training["step"] == early["answer"] < early["described"]["total_steps"]
    assert Path(early["described"]["best"]).name in early["saved"]


def test_the_librarys_own_stop_is_no_end(answers: dict[str, Any]) -> None:
    """With enable_jit_checkpoint the library saves and returns: that training is not finished."""
    jit = answers["early"]["jit"]
    if jit["answer"] is None:
        pytest.skip("this version has no enable_jit_checkpoint")
    assert jit["code"] == 0
    assert jit["saved"]
    assert jit["answer"] < jit["described"]["total_steps"]
    assert not jit["described"]["training"]["ended"]


def test_a_trial_of_a_search_is_not_resumed(answers: dict[str, Any]) -> None:
    """Its folder is its own, and the user is told that it begins anew."""
    searched = answers["searched"]
    assert searched["answer"] == 2
    assert Path(searched["described"]["training"]["directory"]).name == "run-0"
    assert "begin anew" in searched["described"]["told"][0]


def test_a_step_costs_little(answers: dict[str, Any]) -> None:
    """All events of one step, with the page written, the loss told and the stop looked for."""
    took = answers["cost"]["answer"]
    assert took["with"] - took["without"] < MOST_US


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("save_no", 7), ("only_model", 7), ("accumulated", 4), ("evaluation_due", 6),
        ("evaluation_at_epochs_end", 5), ("plateau", 5), ("in_evaluation_short", 4),
        ("best_one_kept", 7), ("save_best", 6), ("last_step_inside_epoch", 7), ("last_step", 10),
    ],
)  # fmt: skip
def test_a_stop_costs_nothing(answers: dict[str, Any], name: str, step: int) -> None:
    """Saved at the step, ended with 75, and from there on equal to the uninterrupted training."""
    case = answers[name]
    assert case["first"]["code"] == 75
    assert case["newest"] == step
    files = case["first"]["saved"][f"checkpoint-{step}"]
    assert {"optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"} <= set(files)
    assert case["second"]["code"] == 0
    assert case["second"]["answer"] == case["alone"]


def test_one_checkpoint_is_kept_beside_the_best(answers: dict[str, Any]) -> None:
    """With save_total_limit=1 the stop's checkpoint is there, and so is the best one."""
    case = answers["best_one_kept"]
    best = Path(case["first"]["described"]["best"]).name
    assert set(case["first"]["saved"]) == {"checkpoint-7", best}


def test_a_long_evaluation_is_cut(answers: dict[str, Any]) -> None:
    """It would last longer than the grace: saved inside it, weights equal in the end, and told."""
    case = answers["in_evaluation_long"]
    assert (case["first"]["code"], case["newest"]) == (75, 4)
    assert case["first"]["described"]["told"] == ["the stop cut the evaluation after step 4 short"]
    assert case["second"]["answer"]["weights"] == case["alone"]["weights"]


def test_an_upload_is_not_awaited(tmp_path: Path) -> None:
    """The process ends with 75 although a thread uploads for an hour, longer than this waits."""
    (tmp_path / "beats").mkdir()
    (tmp_path / "run" / ".supervisor").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ONE_THREAD, "SUPERVISOR_HEARTBEAT", str(tmp_path / "beats"))
        patch.setitem(ONE_THREAD, "SUPERVISOR_RUN_DIR", str(tmp_path / "run"))
        done = cases(tmp_path, "upload")
    assert done.returncode == 75, done.stderr[-2000:]
    assert (tmp_path / "out" / "checkpoint-2" / "trainer_state.json").exists()
