"""The adapter for Lightning, by small real trainings in one process each."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.trainers import ONE_THREAD, SCRIPTS, STARTUP, trainers_python

pytestmark = [pytest.mark.trainers, pytest.mark.timeout(1200)]
CASES = SCRIPTS / "lightning_cases.py"
SHAPES = ["each_epoch", "often", "accumulated", "max_steps", "workers", "no_validation"]
MOST_US = 20.0


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of all cases; the library is imported once."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    folder: Path = tmp_path_factory.mktemp("cases")
    done = subprocess.run(
        [trainers_python("lightning"), str(CASES), str(folder)],
        env={**kept, **ONE_THREAD, "PYTHONPATH": str(STARTUP)},
        capture_output=True, text=True, timeout=1000, check=False,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("ANSWERS ")]
    assert lines, done.stderr[-4000:]
    return dict(json.loads(lines[0].removeprefix("ANSWERS ")))


@pytest.mark.parametrize("shape", SHAPES)
def test_every_checkpoint_and_stop_goes_on_exactly(answers: dict[str, Any], shape: str) -> None:
    """From each checkpoint, and from stops at batches and in validations: the same weights."""
    answer = answers[shape]
    assert answer["differ"] == {}
    assert answer["told"] == {}
    assert answer["ends"] >= 9
    assert list(answer["codes"].values()).count(75) >= 4


def test_what_a_module_does_after_a_batch_is_in_a_stops_save(answers: dict[str, Any]) -> None:
    """`on_train_batch_end` of the module runs before the save of a stop."""
    *stopped, is_equal, told = answers["changed_at_batch_ends"]
    assert stopped == [75, True, []]
    # Lightning's own saves come before it; that is told.
    assert not is_equal
    assert len(told) == 1
    assert "before the module's on_train_batch_end" in told[0]


def test_what_the_script_says_and_what_replaces_it(answers: dict[str, Any]) -> None:
    """None and `last` are replaced, a path from attempt 2 on; weights alone are no checkpoint."""
    resumed = answers["resumed"]
    assert [resumed[name][0] for name in ("none", "last", "fixed, attempt 2")] == [20, 20, 20]
    assert resumed["fixed, attempt 1"][0] == 5
    assert "as the script says" in resumed["fixed, attempt 1"][1][0]
    assert "and not from" in resumed["fixed, attempt 2"][1][0]
    assert resumed["weights"][0] == 0
    assert "holds weights only" in resumed["weights"][1][0]
    assert {answer[2] for answer in resumed.values()} == {0}


def test_fits_that_are_no_training(answers: dict[str, Any]) -> None:
    """`fast_dev_run`, a tuner's fit and one inside another are not counted; two others are."""
    whole = answers["whole_script"]
    assert whole["code"] == 0
    assert whole["record"] == [[1, 5], [1, 10], [2, 5], [2, 10]]
    assert whole["described"]["training"]["ordinal"] == 2
    assert whole["described"]["told"] == []


def test_one_trainer_fits_twice(answers: dict[str, Any]) -> None:
    """Both fits are trainings of one folder; a checkpoint goes into the one that wrote it."""
    is_same, record, described = answers["twice"]
    assert is_same
    assert record == [[1, 5], [1, 10], [2, 15], [2, 20]]
    assert described["training"]["ordinal"] == 2


def test_a_finder_among_the_callbacks(answers: dict[str, Any]) -> None:
    """Lightning's LearningRateFinder would let a resumed fit begin anew."""
    first, second, began, _ = answers["finder"]
    assert began == "10"
    assert first["answer"] == second["answer"]


def test_a_stop_after_the_training(answers: dict[str, Any]) -> None:
    """An evaluation is left at once, and that is told."""
    stopped = answers["stopped_in_test"]
    assert stopped["code"] == 75
    assert "after the training" in stopped["described"]["told"][0]


def test_under_slurm_lightning_requeues_nothing(answers: dict[str, Any]) -> None:
    """SIGUSR1 in a validation saves and leaves; Lightning's own handlers do not see it."""
    code, is_same, names = answers["under_slurm"]
    assert (code, is_same) == (75, True)
    assert "stop-epoch=0-step=12-attempt=1.ckpt" in names
    assert not [name for name in names if name.startswith("hpc")]


def test_objects_of_the_scripts_in_a_checkpoint(answers: dict[str, Any]) -> None:
    """They are loaded if this run has written them; else Lightning refuses them as ever."""
    assert answers["own_types"] == [True, 1]


def test_the_scripts_own_handler_gets_the_signal(answers: dict[str, Any]) -> None:
    """The adapter neither replaces it nor stops the training."""
    assert answers["own_handler"]["answer"] == [1, "None", []]


def test_no_value_is_read(answers: dict[str, Any]) -> None:
    """A loss that raises if its value is asked for is no harm."""
    assert (answers["no_reading"]["code"], answers["no_reading"]["described"]["told"]) == (0, [])
    assert answers["no_reading"]["described"]["training"]["step"] == 24


def test_a_script_sees_one_callback_more(answers: dict[str, Any]) -> None:
    """It is one of the library's, has no state, and can be copied; without a supervisor, none."""
    seen = answers["as_without"]
    assert seen["bare"] == ["ModelCheckpoint"]
    assert seen["answer"] == {
        "signature": ["filepath", "weights_only", "storage_options"], "ours": 1,
        "copied": ["SupervisorCallback"], "is_callback": True, "state": {},
    }  # fmt: skip


def test_a_version_that_does_not_fit(answers: dict[str, Any]) -> None:
    """There is no callback, the training is as without us, and why is told once."""
    code, callbacks, is_same, described = answers["unfit"]
    assert (code, callbacks, is_same) == (0, ["ModelCheckpoint"], True)
    assert len(described["told"]) == 1
    assert "adapter for lightning is off" in described["told"][0]


def test_what_a_batch_costs(answers: dict[str, Any]) -> None:
    """The callback adds at most 20 µs."""
    cost = answers["cost"]["answer"]
    assert cost["with"] - cost["without"] < MOST_US
