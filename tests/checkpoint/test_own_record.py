"""HF's `trainer_state.json`: the step, the total, whether training ended, and why."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from supervisor.checkpoint.own_record import read_own_record
from supervisor.core.ending import OwnRecord

NAME = "trainer_state.json"
STOPPED = {"TrainerControl": {"args": {"should_training_stop": True}, "attributes": {}}}
GOING_ON = {"TrainerControl": {"args": {"should_training_stop": False}, "attributes": {}}}


def early(count: int, patience: int = 3) -> dict[str, Any]:
    """The state of an EarlyStoppingCallback."""
    state = {
        "args": {"early_stopping_patience": patience, "early_stopping_threshold": 0.0},
        "attributes": {"early_stopping_patience_counter": count},
    }
    return {"EarlyStoppingCallback": state}


def write(folder: Path, step: object, total: object = 40, at: float = 100.0, **more: Any) -> None:
    """Write a record as HF writes it."""
    folder.mkdir(exist_ok=True)
    state = {"global_step": step, "max_steps": total, "stateful_callbacks": {}, **more}
    (folder / NAME).write_text(json.dumps(state))
    os.utime(folder / NAME, (at, at))


def test_the_output_directorys_record_is_the_end(tmp_path: Path) -> None:
    """A record in the output directory means the end: `save_state` comes after training."""
    write(tmp_path / "checkpoint-20", 20, stateful_callbacks=GOING_ON)
    write(tmp_path, 20)
    assert read_own_record(tmp_path, 90.0) == OwnRecord(NAME, 20, 40, is_end=True)


@pytest.mark.parametrize(("callbacks", "is_end"), [(STOPPED, True), (GOING_ON, False), ({}, False)])
def test_a_checkpoints_record_says_whether_it_is_the_last(
    tmp_path: Path, callbacks: dict[str, Any], is_end: bool
) -> None:
    """Only a last save's record says that training stops; an older HF's record does not say."""
    write(tmp_path / "checkpoint-9", 9, stateful_callbacks=STOPPED)
    write(tmp_path / "checkpoint-20", 20, stateful_callbacks=callbacks)
    found = read_own_record(tmp_path, 90.0)
    assert found == OwnRecord(f"checkpoint-20/{NAME}", 20, 40, is_end=is_end)


@pytest.mark.parametrize(
    ("callbacks", "history", "expected"),
    [
        (early(3), [], (True, False)),
        (early(2), [], (False, False)),
        # The callback's count is that of the last save.
        (early(2), [{"eval_loss": 1.0, "step": 20}, {"epoch": 1.0, "step": 20}], (True, True)),
        (early(2), [{"eval_loss": 1.0, "step": 18}], (False, False)),
        ({}, [{"eval_loss": 1.0, "step": 20}], (False, True)),
        ({"EarlyStoppingCallback": [{}, *early(5).values()]}, [], (True, False)),
    ],
)  # fmt: skip
def test_early_stopping_is_told_from_a_cut_training(
    tmp_path: Path, callbacks: dict[str, Any], history: list[Any], expected: tuple[bool, bool]
) -> None:
    """HF's own callback is known by its count, any other by an evaluation at the last step."""
    write(tmp_path, 20, stateful_callbacks={**STOPPED, **callbacks}, log_history=history)
    found = read_own_record(tmp_path, 90.0)
    assert found is not None
    assert (found.is_early_stop, found.is_at_evaluation) == expected


@pytest.mark.parametrize(("step", "total"), [("20", 40), (20, 0), (20, -1), (True, 40), (None, 40)])
def test_what_says_nothing_is_no_record(tmp_path: Path, step: object, total: object) -> None:
    """A file without a valid step and total is another program's."""
    write(tmp_path, step, total)
    assert read_own_record(tmp_path, 90.0) is None


@pytest.mark.parametrize("body", ["", "[]", "nonsense", "[" * 100_000])
def test_what_cannot_be_read_is_no_record(tmp_path: Path, body: str) -> None:
    """A file cut off by a full disk, or crafted, is no record."""
    (tmp_path / NAME).write_text(body)
    assert read_own_record(tmp_path, 0.0) is None
    assert read_own_record(tmp_path / "absent", 0.0) is None


def test_an_earlier_attempts_record_is_none_of_this_one(tmp_path: Path) -> None:
    """A record that was written before the attempt began does not count."""
    write(tmp_path, 20, at=80.0)
    assert read_own_record(tmp_path, 90.0) is None
