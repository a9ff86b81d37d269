"""Output directories that are named by the time: each attempt has another one."""

import json
from pathlib import Path

import pytest

from .conftest import Installation
from .test_training import BEGIN, Runs

# A directory as a script makes it that begins so many seconds after the first of the test.
NAMED = """
import time
def named(later=0, form="%Y-%m-%d/%H-%M-%S"):
    return "out/" + time.strftime(form, time.localtime(time.time() - 3600 + later))
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


def test_stages_of_one_process(runs: Runs) -> None:
    """The second stage goes on from its own checkpoint; the first one is repeated, and not it."""
    code = """
for stage in (0, 1):
    place = named(stage * 30)
    t = begin(place); t.saved(place + "/checkpoint-10", 10)
    print(place)
"""
    places = does(runs, code).splitlines()
    second = [saved(runs, place) for place in places][1]
    ask = "for stage in (0, 1): print(*begin(named(600 + stage * 30)).resume_path(None))"
    said = does(runs, ask, attempt=2, resume=second).splitlines()
    assert said == ["False None", f"True {second}"]


def test_stages_of_several_processes(runs: Runs) -> None:
    """A second stage never takes the first one's checkpoint, in which the attempt before ended."""
    first = begins(runs, 0)
    stage = ASK.format(later=600, asked=None)
    assert does(runs, stage, attempt=2, resume=first) == f"True {first}"
    stage = ASK.format(later=660, asked=None)
    assert does(runs, stage, attempt=2, resume=first) == "False None"


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


def test_all_ranks_do_as_rank_0(runs: Runs) -> None:
    """Each has a directory of its own second; a rank that is early waits for rank 0's line."""
    first = begins(runs, 0)
    ranks = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "SUPERVISOR_ATTEMPT": "2"}
    given = {**ranks, "SUPERVISOR_RESUME_FROM": str(first)}
    environment = runs.installation.environment(runs.installation.library, **given)
    code = (
        BEGIN
        + NAMED
        + "rank = int(os.environ['RANK'])\n"
        + """
time.sleep(1 - rank)
t = begin(named(90 + rank)); print(*t.resume_path(None)); print(t.name.directory)
"""
    )
    starter = """
import os, subprocess, sys
ranks = [subprocess.Popen([sys.executable, "script.py"], stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "RANK": str(r), "LOCAL_RANK": str(r)})
         for r in (0, 1)]
for rank in ranks: print(rank.communicate()[0], end="")
"""
    runs.installation.write("script.py", code)
    path = runs.installation.write("starter.py", starter)
    done = runs.installation.run(str(path), environment=environment)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [f"True {first}", str(first.parent)] * 2


def test_ranks_that_torchrun_starts_again(runs: Runs) -> None:
    """Their directory is that of the ranks before, whose line of this attempt does not count."""
    first = begins(runs, 0)
    starter = """
import os, subprocess, sys
for again in "0", "1":
    subprocess.run([sys.executable, "script.py"], env={**os.environ,
                   "TORCHELASTIC_RESTART_COUNT": again, "LATER": str(90 + 60 * int(again))})
"""
    ask = ASK.format(later="int(os.environ['LATER'])", asked=None)
    runs.installation.write("script.py", BEGIN + NAMED + ask)
    given = {"SUPERVISOR_ATTEMPT": "2", "SUPERVISOR_RESUME_FROM": str(first)}
    environment = runs.installation.environment(runs.installation.library, **given)
    path = runs.installation.write("starter.py", starter)
    done = runs.installation.run(str(path), environment=environment)
    assert done.stdout.splitlines() == [f"True {first}"] * 2, done.stderr


def test_lines_of_another_version(runs: Runs) -> None:
    """Lines without a process, and with fields that make no sense."""
    first = begins(runs, 0)
    begun = runs.folder / "run" / ".supervisor" / "trainings-begun.jsonl"
    [line] = begun.read_text().splitlines()
    lines = [json.loads(line) for _ in range(3)]
    del lines[0]["process"]
    lines[1] |= {"place": 7, "attempt": None}
    lines[2] |= {"process": "x", "wall": 1e30}
    begun.write_text("".join(json.dumps(one) + "\n" for one in lines))
    assert does(runs, ASK.format(later=90, asked=None), attempt=2, resume=first) == f"True {first}"
