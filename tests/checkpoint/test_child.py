"""The survey as a child process: the same answer through JSON, from any directory, quickly."""

import json
import resource
import subprocess
import sys
from dataclasses import MISSING, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from supervisor.checkpoint.records import CheckpointEntry, Known, Missing, Remembered
from supervisor.survey.answer import Survey
from supervisor.survey.elsewhere.records import DirectorySaves, FileLook
from supervisor.survey.elsewhere.sightings import Memo, SaveSearch, Sightings
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey
from tests.checkpoint.conftest import Files, MakeOurs, write_files
from tests.checkpoint.test_foreign import guide
from tests.checkpoint.test_survey import remember

MAIN = Path(__file__).resolve().parents[2] / "supervisor" / "survey" / "__main__.py"


def ask(request: SurveyRequest, cwd: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the child process on a request."""
    return subprocess.run(
        [sys.executable, *options, MAIN, "survey"],
        input=json.dumps(request.to_json()),
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )


def children_s() -> float:
    """The processor time in seconds that ended children used, however busy the machine was."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_the_child_answers_as_the_function_does(
    tmp_path: Path, make_ours: MakeOurs, torch_files: Files
) -> None:
    """All fields survive both ways through JSON, with and without Python's -P."""
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
    """For a file in place of the directory, the child reports on stderr and exits with 70."""
    (tmp_path / "file").touch()
    done = ask(SurveyRequest(tmp_path / "file"), tmp_path)
    assert done.returncode == 70
    assert "cannot be read" in done.stderr


def test_a_wrong_command_line(tmp_path: Path) -> None:
    """A wrong command line prints the usage and exits with 2."""
    done = subprocess.run([sys.executable, MAIN], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage" in done.stderr


def test_nothing_heavy_is_loaded(tmp_path: Path) -> None:
    """The child loads nothing heavy, because every launch waits for its start."""
    code = (
        "import sys; from supervisor.checkpoint import commit;"
        "from supervisor.survey import survey; print(*sys.modules)"
    )
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


PLACE = Path("/saves/checkpoint-5")
REQUEST = SurveyRequest(
    Path("/saves"),
    "run",
    memory={str(PLACE): Remembered("f", True, "files", None, {}, 5, None, None, 7, True, "best")},
    pins=frozenset({"a"}),
    snapshots=Path("/dev/shm/x"),
    known=(Known(str(PLACE), "f", 5, 1.5, "/mnt"),),
    search=SaveSearch(
        ("python", "t.py"), "/cwd", {"A": "b"}, "run", "/run", "/saves", None, 7, 1.0, None, True,
        False, Memo(("/a",), ("/b",), ("/c",), ("/d",), {"/e": FileLook(1, 2, 3, 4, True)}),
    ),
    set_aside=Path("/run/set-aside"),
)  # fmt: skip
ENTRY = CheckpointEntry(
    PLACE, "checkpoint-5", 5, 0, None, 7, True, "files", None, "f", {}, False, True, True, None,
    1.5, False, True, "disk", False, True, "best",
)  # fmt: skip
SURVEY = Survey(
    (ENTRY,), ENTRY, True, (PLACE,), Missing("gone", (str(PLACE),), "/mnt"), "a", "/mnt",
    Sightings((DirectorySaves(Path("/a"), ("b",), 5, True, False, None, 1.5, False, True),),
              Memo(seen={"/e": FileLook(1, 2, 3)})),
)  # fmt: skip


def deep_fields(record: dict[str, Any]) -> list[dict[str, Any]]:
    """All objects in a request or an answer that are fields of a dataclass."""
    if "directory" in record:
        search = record["search"]
        return [record, *record["memory"].values(), *record["known"], search, search["memo"]]
    sightings = record["sightings"]
    more = [record["missing"], sightings, sightings["memo"], *sightings["saves"]]
    return [record, *record["entries"], *more]


@pytest.mark.parametrize("value", [REQUEST, SURVEY])
def test_what_another_version_adds_is_passed_over(value: SurveyRequest | Survey) -> None:
    """Unknown fields are passed over at every depth: daemon and child may be of two versions."""
    record = json.loads(json.dumps(value.to_json()))
    assert type(value).from_json(record) == value
    for one in deep_fields(record):
        one["of_a_later_version"] = {"deep": [1]}
        for seen in one.get("seen", {}).values() if "places" in one else ():
            seen.append("of a later version")
    assert type(value).from_json(record) == value


def defaults(value: object) -> list[str]:
    """The fields that have a default, but those that are not sent or must be in an answer."""
    assert is_dataclass(value)
    known = {one.name for one in fields(value) if one.default is not MISSING
             or one.default_factory is not MISSING}  # fmt: skip
    return sorted(known - {"entries", "newest_valid", "exists", "undecided", "writers"})


@pytest.mark.parametrize(
    ("value", "name"),
    [(value, name) for value in (REQUEST, SURVEY) for name in defaults(value)],
)
def test_what_another_version_lacks_has_its_default(
    value: SurveyRequest | Survey, name: str
) -> None:
    """A field that an older version does not send takes its default."""
    record = json.loads(json.dumps(value.to_json()))
    del record[name]
    default = type(value)(**({"directory": Path("/saves")} if value is REQUEST else {}))
    expected = replace(value, **{name: getattr(default, name)})
    assert type(value).from_json(record) == expected


def test_deeper_fields_that_another_version_lacks() -> None:
    """Missing fields take their default in verdicts, known checkpoints, entries, and the memo."""
    record = json.loads(json.dumps(REQUEST.to_json()))
    del record["memory"][str(PLACE)]["names_best"]
    del record["known"][0]["is_proven"]
    del record["search"]["memo"]["seen"]
    record["search"]["memo"]["known_before"] = []
    request = SurveyRequest.from_json(record)
    assert request.memory[str(PLACE)].names_best is None
    assert request.known[0].is_proven
    assert request.search is not None
    assert (request.search.memo.seen, request.search.memo.places) == ({}, ("/a",))
    record = json.loads(json.dumps(SURVEY.to_json()))
    del record["missing"]["unmounted"], record["entries"][0]["best"]
    answer = Survey.from_json(record)
    assert answer.missing == Missing("gone", (str(PLACE),))
    assert answer.newest_valid is not None
    assert answer.newest_valid.best is False


@pytest.mark.parametrize("name", ["entries", "exists", "newest_valid", "undecided"])
def test_an_answer_without_its_checkpoints_is_none(name: str) -> None:
    """An answer without these fields raises: with defaults, a run would begin from nothing."""
    record = SURVEY.to_json()
    del record[name]
    with pytest.raises(KeyError):
        Survey.from_json(record)
