"""Output directories that are named by the time: each attempt has another one."""

import json
import time
from pathlib import Path

import pytest

from .conftest import Installation
from .test_training import Runs

# A directory as a script makes it that begins so many seconds after the first of the test.
NAMED = f"""
import time
def named(later=0, form="%Y-%m-%d/%H-%M-%S"):
    return "out/" + time.strftime(form, time.localtime({time.time() - 3600} + later))
"""
ASK = "t = begin(named({later})); print(*t.resume_path({asked}))"


@pytest.fixture
def runs(installation: Installation) -> Runs:
    """A run without any attempt yet."""
    return Runs(installation)


def does(runs: Runs, code: str, **more: object) -> str:
    """Run a script that names its directory."""
    return runs.does(NAMED + code, **more)  # type: ignore[arg-type]


def saved(runs: Runs, place: str, step: int = 10) -> Path:
    """The checkpoint of a training that has just saved there; it is on disk."""
    return runs.save(f"checkpoint-{step}", place)


def begins(runs: Runs, later: int, *, attempt: int = 1, step: int = 10, **more: object) -> Path:
    """One attempt that saves at a step; its checkpoint."""
    code = (
        f"t = begin(named({later})); p = named({later}); t.saved(p + '/checkpoint-{step}', {step})"
    )
    place = does(runs, f"print(named({later}))", attempt=attempt)
    path = saved(runs, place, step)
    does(runs, code, attempt=attempt, **more)
    return path


@pytest.mark.parametrize("form", ["%Y-%m-%d/%H-%M-%S", "%b%d_%H-%M-%S", "%Y%m%d_%H%M%S"])
def test_it_is_the_same_training(runs: Runs, form: str) -> None:
    """The next attempt goes on from the first one's checkpoint, the third from the second's."""

    def attempt(number: int, resume: Path | None) -> tuple[str, Path]:
        code = f"""
place = named({number} * 90, {form!r})
t = begin(place); print(*t.resume_path(None)); print(place)
os.makedirs(place + "/checkpoint-{number}0"); open(place + "/checkpoint-{number}0/m", "w").close()
t.saved(place + "/checkpoint-{number}0", {number}0)
"""
        said, place = does(runs, code, attempt=number, resume=resume).splitlines()
        return said, runs.folder / place / f"checkpoint-{number}0"

    said, first = attempt(1, None)
    assert said == "False None"
    identity = runs.described["training"]["directory"]
    assert identity == str(first.parent)
    said, second = attempt(2, first)
    assert said == f"True {first}"
    assert second.parent != first.parent
    found = runs.described
    assert found["training"]["directory"] == identity
    assert found["checkpoint_dir"] == str(second.parent)
    assert any("differ only by their time" in one for one in found["told"])
    assert attempt(3, second)[0] == f"True {second}"


@pytest.mark.parametrize("asked", [True, "given"])
def test_what_the_script_asks_for(runs: Runs, asked: object) -> None:
    """`True` and a path are replaced from the second attempt on, as in a fixed directory."""
    first = begins(runs, 0)
    code = ASK.format(later=90, asked=repr(asked))
    assert does(runs, code, attempt=2, resume=first) == f"True {first}"


def test_a_checkpoint_on_no_record(runs: Runs) -> None:
    """Killed between a save and its record: it is that of the directory's training."""
    first = begins(runs, 0)
    place = does(runs, "t = begin(named(90)); print(named(90))", attempt=2, resume=first)
    second = saved(runs, place, 20)
    assert does(runs, ASK.format(later=180, asked=None), attempt=3, resume=second) == (
        f"True {second}"
    )


def refused(runs: Runs, first: Path, code: str = "", **more: object) -> bool:
    """Whether the second attempt leaves the first one's checkpoint alone, and says so."""
    said = does(runs, code + ASK.format(later=90, asked=None), attempt=2, resume=first, **more)
    told = " ".join(runs.described["told"])
    return said == "False None" and "the training begins anew" in told


def test_several_trainings_are_never_guessed(runs: Runs) -> None:
    """Stages, folds and trials: which one a new directory belongs to is not sure."""
    begins(runs, 0)
    second = begins(runs, 30)
    assert refused(runs, second)
    # Nor after an attempt that began one training alone.
    place = does(runs, "print(named(180))", attempt=3, resume=second)
    third = saved(runs, place, 30)
    does(runs, f"begin(named(180)).saved({str(third)!r}, 30)", attempt=3, resume=second)
    ask = ASK.format(later=240, asked=None)
    assert does(runs, ask, attempt=4, resume=third) == "False None"


def test_stages_of_several_processes(runs: Runs) -> None:
    """A second stage never takes the first one's checkpoint, in which the attempt before ended."""
    first = begins(runs, 0)
    stage = ASK.format(later=600, asked=None)
    assert does(runs, stage, attempt=2, resume=first) == f"True {first}"
    stage = ASK.format(later=660, asked=None)
    assert does(runs, stage, attempt=2, resume=first) == "False None"


def test_a_training_that_has_ended(runs: Runs) -> None:
    """The next one may be another, such as the next of a list without those that are done."""
    first = begins(runs, 0)
    begun = runs.folder / "run" / ".supervisor" / "trainings-begun.jsonl"
    begun.unlink()
    place = str(first.parent.relative_to(runs.folder))
    does(runs, f"t = begin({place!r}); t.saved({str(first)!r}, 10); t.end()")
    assert refused(runs, first)


def test_the_second_training_of_a_process(runs: Runs) -> None:
    """Only the first one may be the one before."""
    first = begins(runs, 0)
    code = "begin('other'); "
    said = does(runs, code + ASK.format(later=90, asked=None), attempt=2, resume=first)
    assert said == "False None"


@pytest.mark.parametrize(
    "code",
    [
        "sys.argv.append('--seed=2'); ",
        "sys.modules['optuna'] = sys; ",
        "os.environ['WANDB_SWEEP_ID'] = 'x'; ",
        "import functools; begin = functools.partial(begin, total=7); ",
    ],
)
def test_what_else_has_to_be_the_same(runs: Runs, code: str) -> None:
    """Another command line, another length, and what chooses trials by itself."""
    assert refused(runs, begins(runs, 0), code)


def test_a_file_that_an_upgrade_took_away(runs: Runs) -> None:
    """What would compare the names is gone while the trainer runs: it begins anew, unharmed."""
    gone = runs.installation.package / "integrations" / "time_in_path.py"
    first = begins(runs, 0)
    assert refused(runs, first, f"os.unlink({str(gone)!r}); ")


def test_several_ranks_are_never_guessed(runs: Runs) -> None:
    """Ranks could come to different answers."""
    ranks = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}
    assert refused(runs, begins(runs, 0), **ranks)


def test_a_stage_that_is_reached_for_the_first_time_is_no_alarm(runs: Runs) -> None:
    """Its directory is new, but the first training of the attempt has gone on."""
    runs.does("begin('one').saved('one/checkpoint-10', 10)")
    first = runs.save(directory="one")
    ask = "print(*begin('one').resume_path(None)); print(*begin('two').resume_path(None))"
    said = runs.does(ask, attempt=2, resume=first).splitlines()
    assert said == [f"True {first}", "False None"]
    assert not [one for one in runs.described["told"] if "begins anew" in one]


def test_another_name_is_another_training(runs: Runs) -> None:
    """It is told that each relaunch begins anew; nothing is guessed."""
    first = begins(runs, 0)
    ask = "print(*begin('out/b1946ac9').resume_path(None))"
    assert does(runs, ask, attempt=2, resume=first) == "False None"
    told = " ".join(runs.described["told"])
    assert "the training begins anew" in told
    assert f"{runs.folder}/out/b1946ac9, and the attempts before saved into {first.parent}" in told
    # The third attempt has a directory that is known.
    assert does(runs, ask, attempt=3, resume=first) == "False None"


def test_a_directory_that_stays_is_left_alone(runs: Runs) -> None:
    """Stages with fixed directories, of which a second one is reached for the first time."""
    first = begins(runs, 0)
    place = str(first.parent.relative_to(runs.folder))
    ask = f"print(*begin({place!r}).resume_path(None)); print(*begin('other').resume_path(None))"
    assert does(runs, ask, attempt=2, resume=first).splitlines() == [f"True {first}", "False None"]


@pytest.mark.parametrize(
    "odd",
    [{"words": 7}, {"wall": 1e30}, {"place": 7, "attempt": None}, {"total_steps": "x"}],
)
def test_lines_of_another_version(runs: Runs, odd: dict[str, object]) -> None:
    """What a line does not have, or has in another form, is not taken for the same."""
    first = begins(runs, 0)
    begun = runs.folder / "run" / ".supervisor" / "trainings-begun.jsonl"
    begun.write_text(json.dumps(json.loads(begun.read_text()) | odd) + "\n")
    assert does(runs, ASK.format(later=90, asked=None), attempt=2, resume=first).startswith(
        "True" if "attempt" in odd else "False"
    )
