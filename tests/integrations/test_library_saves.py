"""accelerate's and Lightning Fabric's own saves and loads, in loops without an adapter of steps."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.conftest import Installation
from tests.integrations.trainers import ONE_THREAD, SCRIPTS, STARTUP, trainers_python

pytestmark = pytest.mark.timeout(600)
SLOW_NS = 0.4e9


def test_ranks_leave_together_or_not_at_all(installation: Installation) -> None:
    """After the same save; none does that others would wait for."""
    environment = installation.environment(**ONE_THREAD)
    done = installation.run(str(SCRIPTS / "rank_cases.py"), environment=environment)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert json.loads(done.stdout) == {
        "both": [75, 75],
        "one": [None, None, None, None],
        "one_too_late": [None, None, 75, 75],
        "one_too_early": [None, None, 75, 75],
        "first_alone_saves": [None],
        "other_nodes": [None, None],
        "one_writes_longer": [None, None, 75, 75],
        "a_long_save": [-15, -15],
        "both_beside_an_adapter": [75, 75],
    }


@pytest.fixture(scope="module", params=["accelerate", "fabric"])
def saves(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What came of all cases of one library."""
    library = {"accelerate": "accelerate", "fabric": "lightning"}[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "beats").mkdir()
    (folder / "run" / ".supervisor").mkdir(parents=True)
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [trainers_python(library), str(SCRIPTS / "save_cases.py"), request.param],
        env={**kept, **ONE_THREAD, "PYTHONPATH": str(STARTUP), "SUPERVISOR_ATTEMPT": "1",
             "SUPERVISOR_HEARTBEAT": str(folder / "beats"), "SUPERVISOR_INTEGRATE": "auto",
             "SUPERVISOR_RUN_DIR": str(folder / "run")},
        cwd=folder, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("ANSWERS ")]
    assert lines, done.stderr[-4000:]
    return request.param, folder, json.loads(lines[0].removeprefix("ANSWERS ")), done.stderr


@pytest.mark.trainers
def test_phases_and_place(saves: Any) -> None:
    """The phase is seen while it lasts, its time is no gap, and the place is described."""
    library, folder, answers, stderr = saves
    found = answers["phases"]
    assert found["code"] == 0, stderr
    seen, (count, _, gap, phase, since, stop) = found["answer"]
    assert seen == {"accelerate": [1, 2], "fabric": [0, 1]}[library]
    assert count == 7  # three steps, and the begin and the end of each phase
    assert 0.1e9 <= gap < SLOW_NS
    assert (phase, stop) == (0, 0)
    assert since > 0
    version = found["described"]["framework"]
    assert version.startswith({"accelerate": "accelerate ", "fabric": "lightning "}[library])
    assert found["described"]["checkpoint_dir"] == str(folder / "phases" / "out")
    assert found["described"]["told"] == []
    assert found["saved"]


@pytest.mark.trainers
@pytest.mark.parametrize("case", ["waits", "in_a_save"])
def test_a_stop_ends_after_the_save(saves: Any, case: str) -> None:
    """The save is whole, the script's own code after it has run, and the next step ends with 75."""
    library, _, answers, stderr = saves
    found = answers[case]
    assert (found["code"], found["stop"]) == (75, 2), stderr
    names = {Path(path).name for path in found["saved"]}
    assert ("random_states_0.pkl" if library == "accelerate" else "checkpoint-9") in names or (
        case == "in_a_save" and "checkpoint-5" in names
    )
    assert "more" in names
    assert '["waits", 2]' in stderr


@pytest.mark.trainers
def test_an_exit_that_is_caught(saves: Any) -> None:
    """A program started meanwhile hears SIGTERM, and so does the loop from the next step on."""
    _, _, answers, stderr = saves
    assert answers["caught"]["code"] == -15, stderr
    assert '["caught", 75, "True"]' in stderr


@pytest.mark.trainers
def test_a_save_that_is_killed(saves: Any) -> None:
    """SIGTERM has its default action once the save is whole, at the step after it."""
    library, _, answers, stderr = saves
    found = answers["killed_in_a_save"]
    assert (found["code"], found["stop"]) == (-15, 3), stderr
    names = {Path(path).name for path in found["saved"]}
    assert {"more", "random_states_0.pkl" if library == "accelerate" else "checkpoint-5"} <= names


@pytest.mark.trainers
def test_a_save_after_the_last_step(saves: Any) -> None:
    """A loop that is over ends as it always does."""
    _, _, answers, stderr = saves
    found = answers["waits_at_the_end"]
    assert (found["code"], found["answer"], found["stop"]) == (0, "ended", 2), stderr


@pytest.mark.trainers
def test_a_save_that_fails(saves: Any) -> None:
    """The exception passes without a frame of the adapter, and the phase is over."""
    _, _, answers, stderr = saves
    assert answers["fails"]["answer"] == [[], 0], stderr
    assert answers["fails"]["described"]["checkpoint_dir"] is None


@pytest.mark.trainers
def test_a_training_speaks_alone(saves: Any) -> None:
    """Inside of a training of an adapter nothing is done."""
    _, _, answers, stderr = saves
    found = answers["of_a_trainer"]
    assert found["answer"] == [True, []], stderr
    assert found["described"]["framework"] == "huggingface 5"


@pytest.mark.trainers
def test_versions_and_signatures(saves: Any) -> None:
    """The methods look as they are; a version without them is refused with its name."""
    library, folder, answers, _ = saves
    is_accelerate = library == "accelerate"
    parameters = ["output_dir", "safe_serialization"] if is_accelerate else ["path", "state"]
    assert answers["as_without"]["answer"][0] == parameters
    missing = "Accelerator.save_state and Accelerator.load_state"
    assert (missing if is_accelerate else "Fabric.save and Fabric.load") in answers["unfit"][
        "answer"
    ]
    if is_accelerate:
        assert answers["numbered"]["answer"] == ["checkpoint_0", "checkpoint_1"]
        place = str(folder / "numbered" / "project" / "checkpoints")
        assert answers["numbered"]["described"]["checkpoint_dir"] == place
