"""A first save that was cut off loses nothing; two bad saves may mean that the proof is wrong."""

import os
from pathlib import Path
from typing import Any

import pytest

from supervisor.checkpoint.records import Known
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey

BEGUN, ENDED = 1_000_000.0, 1_000_100.0


def torn(directory: Path, step: int, at: float) -> Path:
    """A save without its weights' end, whose last write was at `at`."""
    path = directory / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"\xff")
    os.utime(path / "model.safetensors", (at, at))
    return path


def found(directory: Path, **more: Any) -> tuple[str | None, bool]:
    """The name of the torn first save that a survey finds, and whether any checkpoint exists."""
    facts: dict[str, Any] = {
        "first_attempt_wall": BEGUN, "attempt_wall": BEGUN, "ended_wall": ENDED, "quiet": True,
    } | more  # fmt: skip
    survey_ = survey(SurveyRequest(directory, "run", **facts))
    return survey_.torn_first, survey_.exists


def test_the_only_one_written_last(tmp_path: Path) -> None:
    """A torn save that was the ended attempt's last act lets the run begin again."""
    torn(tmp_path, 10, ENDED - 1)
    assert found(tmp_path) == ("checkpoint-10", True)


def test_also_where_nobody_saw_the_end(tmp_path: Path) -> None:
    """The same holds if supervisor and trainer, or the whole machine, were killed together."""
    torn(tmp_path, 10, ENDED - 1)
    assert found(tmp_path, ended_wall=None) == ("checkpoint-10", True)


@pytest.mark.parametrize(
    "facts",
    [
        {"attempt_step": 11},  # just seen: the trainer saves while training
        {"ended_wall": ENDED + 900, "attempt_step": 10},  # the trainer hung within its save
    ],
)
def test_cut_off_within_the_save(tmp_path: Path, facts: dict[str, Any]) -> None:
    """A torn save counts if no step, or no time, followed it."""
    torn(tmp_path, 10, ENDED - 1)
    assert found(tmp_path, **facts)[0] == "checkpoint-10"


@pytest.mark.parametrize(
    "facts",
    [
        {"known": (Known("/o/checkpoint-5", "f", 5, BEGUN),)},  # a valid checkpoint came before it
        {"attempt_wall": None},  # nothing ever ran
        {"attempt_wall": ENDED, "ended_wall": ENDED + 50},  # an earlier attempt made it
        {"ended_wall": ENDED + 3600},  # it lay there for an hour, and no steps are known
        {"ended_wall": ENDED + 9, "attempt_step": 11},  # training went on after it
        {"attempt_killed": False},  # the trainer ended by itself: its save was over
        {"first_attempt_wall": ENDED + 1, "existing": "use"},  # it is older than this run
        {"quiet": False},  # still being written
    ],
)
def test_not_where_something_might_be_lost(tmp_path: Path, facts: dict[str, Any]) -> None:
    """With each of these facts, the torn save does not let the run begin again."""
    torn(tmp_path, 10, ENDED - 1)
    assert found(tmp_path, **facts)[0] is None


def test_two_may_be_a_wrong_proof(tmp_path: Path) -> None:
    """Two torn saves are no first save: the proof may not know the format."""
    torn(tmp_path, 10, ENDED - 50)
    torn(tmp_path, 20, ENDED - 1)
    assert found(tmp_path) == (None, True)


def test_one_of_an_earlier_beginning_does_not_count(tmp_path: Path) -> None:
    """A torn save set aside before the run began anew does not count against the next one."""
    aside = tmp_path / ".set-aside" / "invalid"
    torn(aside, 10, ENDED - 200)
    torn(tmp_path, 10, ENDED - 1)
    assert found(tmp_path, first_attempt_wall=BEGUN - 300)[0] is None
    facts = {"first_attempt_wall": BEGUN - 300, "begun_wall": BEGUN}
    assert found(tmp_path, **facts) == ("checkpoint-10", True)
    (tmp_path / "checkpoint-10" / "model.safetensors").unlink()
    (tmp_path / "checkpoint-10").rmdir()
    assert found(tmp_path, **facts) == (None, False)
