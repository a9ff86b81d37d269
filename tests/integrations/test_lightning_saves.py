"""How often Lightning saves, by what the adapter finds out and by the saves of real fits."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.trainers import SCRIPTS, trainers_python

pytestmark = [pytest.mark.trainers, pytest.mark.timeout(600)]
AVERAGES = "averages over an epoch (on_epoch=True) and metrics, inside an epoch"


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What was said of each fit, and the steps at which it saved."""
    folder: Path = tmp_path_factory.mktemp("cases")
    done = subprocess.run(
        [trainers_python("lightning"), str(SCRIPTS / "lightning_saves.py"), str(folder)],
        capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("ANSWERS ")]
    assert lines, done.stderr[-4000:]
    return dict(json.loads(lines[0].removeprefix("ANSWERS ")))


@pytest.mark.parametrize(
    ("name", "steps"),
    [("default", 12), ("accumulated", 3), ("steps", 7), ("epochs", 24), ("validations", 6)],
)
def test_the_steps_between_two_saves(answers: dict[str, Any], name: str, steps: int) -> None:
    """What is said agrees with the saves that came."""
    said, seconds, _, saved = answers[name]
    assert (said, seconds) == (steps, None)
    assert saved == list(range(steps, saved[-1] + 1, steps))
    assert len(saved) >= 2


def test_other_ways_to_save(answers: dict[str, Any]) -> None:
    """By time; by the more frequent of two callbacks; where a metric decides; never."""
    assert answers["time"][:2] == [None, 180.0]
    assert answers["both"][0] == 5
    assert set(range(5, 46, 5)) <= set(answers["both"][3])
    assert answers["best"][:2] == [None, None]
    for name in ("none kept", "weights", "off"):
        assert (answers[name][0], answers[name][3]) == (0, []), name


def test_what_a_resume_does_not_restore(answers: dict[str, Any]) -> None:
    """Averages in every fit; the place in the data where only some loaders know theirs."""
    assert answers["default"][2] == answers["stateful"][2] == [AVERAGES]
    assert "the place inside an epoch" in answers["one stateful"][2][0]
    assert "save_weights_only" in answers["weights"][2][0]
