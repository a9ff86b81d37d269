"""Checkpoints on record that are not on the disk: the report names them and where they may be."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from supervisor.checkpoint.records import Known, Missing
from supervisor.core.entries.reading import read_entry
from supervisor.daemon.tell.recorded_checkpoints import Recorded
from supervisor.survey import missing
from supervisor.survey.answer import Survey
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey
from tests.checkpoint.conftest import MakeOurs


def as_json(value: dict[str, Any]) -> dict[str, Any]:
    """The value after the JSON text that one process hands to another."""
    return dict(json.loads(json.dumps(value)))


def recorded(found: Survey) -> tuple[Known, ...]:
    """What a ledger would record of a survey's valid checkpoints."""
    return tuple(
        Known(str(e.path), e.fingerprint, e.step, time.time()) for e in found.entries if e.valid
    )


@pytest.fixture
def known(tmp_path: Path, make_ours: MakeOurs) -> tuple[Known, ...]:
    """Two recorded checkpoints, 10 and 20, in `tmp_path/out`."""
    for step in (10, 20):
        make_ours(tmp_path / "out", step)
    return recorded(survey(SurveyRequest(tmp_path / "out", "run", quiet=True)))


def look(directory: Path, known: tuple[Known, ...], **more: Any) -> Survey:
    """A survey for a decision, by way of JSON."""
    request = SurveyRequest(directory, "run", quiet=True, known=known, **more)
    found = survey(SurveyRequest.from_json(as_json(request.to_json())))
    return Survey.from_json(as_json(found.to_json()))


def said(found: Survey) -> str:
    """The sentence on what is missing; fails if nothing is missing."""
    assert found.missing is not None
    return found.missing.sentence


def test_nothing_is_missing_where_all_is_there(tmp_path: Path, known: tuple[Known, ...]) -> None:
    """At an ordinary relaunch nothing is missing."""
    assert len(known) == 2
    assert look(tmp_path / "out", known).missing is None


@pytest.mark.parametrize("left", ["no directory", "empty", "other files"])
def test_a_directory_that_lost_them(tmp_path: Path, known: tuple[Known, ...], left: str) -> None:
    """For a directory gone, empty or with other files, the sentence names it and both steps."""
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    if left != "no directory":
        (tmp_path / "out").mkdir()
    if left == "other files":
        (tmp_path / "out" / "notes.txt").write_text("x")
    sentence = said(look(tmp_path / "out", known))
    assert "checkpoint-20 (step 20), checkpoint-10 (step 10) are missing" in sentence
    phrase = {"no directory": "does not exist", "empty": "is empty"}.get(left, "does not hold them")
    assert f"{tmp_path / 'out'} {phrase}" in sentence
    assert "on record since 20" in sentence


def test_another_valid_one_makes_up_for_them(
    tmp_path: Path, known: tuple[Known, ...], make_ours: MakeOurs
) -> None:
    """After a trainer's rotation nothing is missing, unless the newer checkpoint is invalid."""
    for step in (10, 20):
        shutil.rmtree(tmp_path / "out" / f"checkpoint-{step}")
    (tmp_path / "out" / "checkpoint-30").mkdir()
    (tmp_path / "out" / "checkpoint-30" / "training_state.json").write_text('{"format": 1}')
    assert "checkpoint-20" in said(look(tmp_path / "out", known))
    make_ours(tmp_path / "out", 40)
    assert look(tmp_path / "out", known).missing is None


def test_moved_with_its_directory(tmp_path: Path, known: tuple[Known, ...]) -> None:
    """Nothing is missing when a run directory was moved with its checkpoints."""
    (tmp_path / "out").rename(tmp_path / "moved")
    found = look(tmp_path / "moved", known)
    assert found.missing is None
    assert found.newest_valid is not None


def test_another_working_directory(tmp_path: Path, known: tuple[Known, ...]) -> None:
    """The sentence names the directory of the saves and the one in which the supervisor looks."""
    sentence = said(look(tmp_path / "w" / "out", known))
    assert f"saved in {tmp_path / 'out'}" in sentence
    assert f"now looks into {tmp_path / 'w' / 'out'}" in sentence
    shutil.rmtree(tmp_path / "out")
    assert "neither directory holds them" in said(look(tmp_path / "w" / "out", known))


def test_links_to_where_they_were_moved(tmp_path: Path, known: tuple[Known, ...]) -> None:
    """The sentence gives the line that finds them again, and says if a link dangles."""
    (tmp_path / "big").mkdir()
    for step in (10, 20):
        place = tmp_path / "out" / f"checkpoint-{step}"
        place.rename(tmp_path / "big" / place.name)
        place.symlink_to(tmp_path / "big" / place.name)
    sentence = said(look(tmp_path / "out", known))
    assert f"directory: {tmp_path / 'big'}" in sentence
    assert look(tmp_path / "big", known).missing is None
    shutil.rmtree(tmp_path / "big")
    assert "which does not exist" in said(look(tmp_path / "out", known))


def test_a_pattern_that_was_taken_away(tmp_path: Path) -> None:
    """With the pattern gone, saves whose names mean nothing now are missing: no fresh start."""
    (tmp_path / "weights-7.bin").write_bytes(b"7")
    pattern = r"weights-(?P<step>\d+)\.bin"
    facts = {"first_attempt_wall": 0.0}
    first = survey(SurveyRequest(tmp_path, "run", quiet=True, pattern=pattern, **facts))
    known = recorded(first)
    assert [one.step for one in known] == [7]
    assert look(tmp_path, known, pattern=pattern, **facts).missing is None
    assert "by its name it is no checkpoint now" in said(look(tmp_path, known, **facts))


def test_a_directory_that_is_a_link_itself(tmp_path: Path, known: tuple[Known, ...]) -> None:
    """With `out -> big`, the saves in `big` are found: nothing is missing."""
    (tmp_path / "out").rename(tmp_path / "big")
    (tmp_path / "out").symlink_to(tmp_path / "big")
    assert look(tmp_path / "out", known).missing is None


def test_a_mount_that_is_not_there(
    tmp_path: Path, known: tuple[Known, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recorded mount point is the reason only if nothing is mounted on it now."""
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    root, data = Path("/"), Path("/mnt/data")
    for points, unmounted in (({root}, "/mnt/data"), ({root, data}, None), (None, None)):
        monkeypatch.setattr(missing, "mount_points", lambda points=points: points)
        found = look(tmp_path / "out", known, mount="/mnt/data")
        assert found.missing is not None
        assert found.missing.unmounted == unmounted
    monkeypatch.setattr(missing, "mount_points", lambda: frozenset({root}))
    found = look(tmp_path / "out", known, mount="/")
    assert found.missing is not None
    assert found.missing.unmounted is None


def test_set_aside_is_not_missing(tmp_path: Path, known: tuple[Known, ...]) -> None:
    """A checkpoint moved to the shelf by a daemon killed before its record is not missing."""
    aside = tmp_path / "out" / ".set-aside" / "invalid"
    aside.mkdir(parents=True)
    for step in (10, 20):
        (tmp_path / "out" / f"checkpoint-{step}").rename(aside / f"checkpoint-{step}")
    assert look(tmp_path / "out", known).missing is None


def verdict(path: str, *, valid: bool = True, **more: Any) -> dict[str, Any]:
    """A ledger entry of a verdict."""
    step = int(path.rpartition("-")[2])
    return {"type": "checkpoint", "path": path, "valid": valid, "fingerprint": path, "step": step,
            "own_run": True, **more}  # fmt: skip


def removal(path: str, why: str) -> dict[str, Any]:
    """A ledger entry of a removal."""
    return {"type": "checkpoint_removed", "path": path, "why": why}


START = {"type": "attempt_started", "attempt": 1, "checkpoint": None}
SEEN = {"type": "checkpoint_seen", "path": "/o/c-10", "step": 10}
BOTH = [START, verdict("/o/c-10"), verdict("/o/c-20")]


@pytest.mark.parametrize(
    ("entries", "known"),
    [
        ([START, verdict("/o/c-10")], ["/o/c-10"]),
        ([verdict("/o/c-10"), START], []),  # the run began again from nothing, knowingly
        ([START, verdict("/o/c-10", valid=False)], []),
        ([START, verdict("/o/c-10"), verdict("/o/c-10", valid=False)], []),
        ([START, verdict("/o/c-10", reason="not all of its weights are finite")], []),
        ([START, verdict("/o/c-10", own_run=False)], []),
        ([*BOTH, removal("/o/c-10", "pruned")], ["/o/c-20"]),
        ([*BOTH, removal("/o/c-10", "gone")], ["/o/c-20"]),
        ([START, verdict("/o/c-10"), removal("/o/c-10", "gone")], ["/o/c-10"]),
        (
            [*BOTH, removal("/o/c-10", "gone"), removal("/o/c-20", "gone")],
            ["/o/c-20"],
        ),
        ([START, verdict("/o/c-10"), removal("/o/c-10", "invalid")], []),
        ([START, verdict("/o/c-10"), {"type": "begin_again"}], []),
        (
            [{**START, "checkpoint": {"path": "/other/c-5", "step": 5, "tier": "disk"}}],
            ["/other/c-5"],  # another run's checkpoint, from which this run began
        ),
        ([{**START, "checkpoint": {"path": "/shm/c-5", "step": 5, "tier": "memory"}}], []),
        ([START, SEEN], ["/o/c-10"]),
        (
            [START, SEEN, verdict("/o/c-20")],
            ["/o/c-20"],  # the trainer may have removed the other since
        ),
        (
            [START, SEEN, verdict("/o/c-10", valid=False)],
            [],
        ),
    ],
)  # fmt: skip
def test_what_the_ledger_knows(entries: list[dict[str, Any]], known: list[str]) -> None:
    """The ledger knows valid saves since the last fresh start, less those removed on purpose."""
    recorded = Recorded()
    for wall, entry in enumerate(entries):
        recorded.note(read_entry(entry), float(wall))
    assert [one.path for one in recorded.known()] == known


def test_missing_travels_as_json() -> None:
    """A report of missing checkpoints survives JSON between the survey and the daemon."""
    lost = Missing("s", ("/a",), "/mnt")
    found = Survey(missing=lost, torn_first="checkpoint-1", mount="/")
    assert Survey.from_json(as_json(found.to_json())) == found
