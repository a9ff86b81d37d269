"""The survey as a child process: the same answer through JSON, from any directory, quickly."""

import json
import resource
import subprocess
import sys
from pathlib import Path

from supervisor.checkpoint.records import Survey, SurveyRequest
from supervisor.checkpoint.survey import survey
from tests.checkpoint.conftest import Files, MakeOurs, write_files
from tests.checkpoint.test_foreign import guide
from tests.checkpoint.test_survey import remember

MAIN = Path(__file__).resolve().parents[2] / "supervisor" / "checkpoint" / "__main__.py"


def ask(request: SurveyRequest, cwd: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the child on a request."""
    return subprocess.run(
        [sys.executable, *options, MAIN, "survey"],
        input=json.dumps(request.to_json()),
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )


def children_s() -> float:
    """What children that have ended took of a processor, in seconds, however busy that was."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_the_child_answers_as_the_function_does(
    tmp_path: Path, make_ours: MakeOurs, torch_files: Files
) -> None:
    """All fields survive both ways, with and without -P."""
    make_ours(tmp_path, 500)
    write_files(tmp_path / "checkpoint-600", guide(torch_files, 600))
    request = SurveyRequest(
        tmp_path, "run", existing="use", quiet=True, pins=frozenset({"checkpoint-500"})
    )
    memory = remember(survey(request))
    for options in ([], ["-P"]):
        for one in (request, SurveyRequest(tmp_path, "run", memory)):
            expected = survey(one)
            done = ask(one, tmp_path, *options)
            assert done.stderr == ""
            answer = Survey.from_json(json.loads(done.stdout))
            assert [entry.path for entry in answer.entries] == [
                entry.path for entry in expected.entries
            ]
            assert answer.newest_valid is not None
            assert expected.newest_valid is not None
            assert answer.newest_valid.fingerprint == expected.newest_valid.fingerprint
            assert answer.undecided == expected.undecided
    assert SurveyRequest.from_json(json.loads(json.dumps(request.to_json()))) == request


def test_a_directory_that_cannot_be_read(tmp_path: Path) -> None:
    """A file in its place is told on stderr, with an exit code."""
    (tmp_path / "file").touch()
    done = ask(SurveyRequest(tmp_path / "file"), tmp_path)
    assert done.returncode == 70
    assert "cannot be read" in done.stderr


def test_a_wrong_command_line(tmp_path: Path) -> None:
    """It says how to call it."""
    done = subprocess.run([sys.executable, MAIN], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage" in done.stderr


def test_nothing_heavy_is_loaded(tmp_path: Path) -> None:
    """Its start is on the way to every launch."""
    code = "import sys; from supervisor.checkpoint import survey, commit; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=MAIN.parents[2],
    )
    loaded = set(done.stdout.split())
    assert not loaded & {"torch", "numpy", "pydantic", "structlog", "psutil", "click", "zipfile"}
    before = children_s()
    ask(SurveyRequest(tmp_path), tmp_path)
    assert children_s() - before < 2
