"""The memory tier in a survey: which snapshots count, and their order among checkpoints."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from supervisor.checkpoint.records import NOT_FINITE
from supervisor.memory.seal import SealWriter
from supervisor.memory.slots import Whole, make_root, read_whole, void
from supervisor.memory.snapshot_proof import SlotVerdict, keep_verdict, read_verdict
from supervisor.survey.answer import Survey
from supervisor.survey.memory_tier import NOT_VETTED
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey
from tests.checkpoint.conftest import Files, MakeOurs, write_snapshot

MakeSnapshot = Callable[..., Whole]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A snapshot directory; readers do not care that it is not on a tmpfs."""
    return make_root(tmp_path / "snapshots").root


@pytest.fixture
def make_snapshot(root: Path, tmp_path: Path, guide_files: Files) -> MakeSnapshot:
    """Return a function that writes a whole snapshot of run `run` into a slot."""
    files = {"model.pt": guide_files["model.pt"]}
    return partial(write_snapshot, root, tmp_path, files)


def look(root: Path, folder: Path, *, quiet: bool = True) -> Survey:
    """A survey of both tiers, by way of JSON as between processes."""
    request = SurveyRequest(folder, "run", quiet=quiet, snapshots=root)
    found = survey(SurveyRequest.from_json(json.loads(json.dumps(request.to_json()))))
    return Survey.from_json(json.loads(json.dumps(found.to_json())))


def places(found: Survey) -> list[tuple[int | None, str]]:
    """The step and tier of each entry, newest first."""
    return [(entry.step, entry.tier) for entry in found.entries]


def test_the_newest_of_both_tiers_is_chosen(
    tmp_path: Path, root: Path, make_ours: MakeOurs, make_snapshot: MakeSnapshot
) -> None:
    """A snapshot newer than the disk's is chosen, and its verdict is not remembered."""
    disk = tmp_path / "out"
    for step in (500, 1000):
        make_ours(disk, step)
    make_snapshot(1010, index=0)
    make_snapshot(900, index=1)
    found = look(root, disk)
    assert places(found) == [(1010, "memory"), (1000, "disk"), (900, "memory"), (500, "disk")]
    newest = found.newest_valid
    assert newest is not None
    assert (newest.step, newest.proof, newest.valid) == (1010, "structure", True)
    assert newest.path == root / "slot-0" / "checkpoint-1010"
    assert newest.candidate
    assert newest.own_run
    assert newest.as_remembered() is None


def test_a_snapshot_alone_is_something_to_lose(
    tmp_path: Path, root: Path, make_snapshot: MakeSnapshot
) -> None:
    """A snapshot counts as existing without a checkpoint directory, so the run does not restart."""
    make_snapshot(7)
    found = look(root, tmp_path / "absent")
    assert found.exists
    assert found.newest_valid is not None
    assert found.undecided == ()


def test_at_the_same_step_the_disk_comes_first_if_it_is_good(
    tmp_path: Path, root: Path, make_ours: MakeOurs, make_snapshot: MakeSnapshot
) -> None:
    """With the disk's checkpoint damaged, the snapshot of the same step is chosen."""
    path = make_ours(tmp_path / "out", 500)
    make_snapshot(500)
    found = look(root, tmp_path / "out")
    assert places(found) == [(500, "disk"), (500, "memory")]
    assert found.newest_valid == found.entries[0]
    (path / "model.pt").write_bytes(b"")
    found = look(root, tmp_path / "out")
    assert places(found) == [(500, "memory"), (500, "disk")]
    assert found.newest_valid == found.entries[0]


def test_only_whole_snapshots_of_this_run_count(
    tmp_path: Path, root: Path, make_snapshot: MakeSnapshot
) -> None:
    """A snapshot of another run, one being written, and a voided one are not listed."""
    make_snapshot(10, run_id="other")
    make_snapshot(20, index=1)
    assert places(look(root, tmp_path / "out")) == [(20, "memory")]
    void(make_root(root).slot(1))
    assert look(root, tmp_path / "out").entries == ()
    whole = make_snapshot(30, index=1)
    seal = SealWriter(whole.slot.seal)
    seal.begin()
    assert look(root, tmp_path / "out").entries == ()
    seal.close()


def test_a_snapshot_is_vetted_where_nothing_writes(
    tmp_path: Path, root: Path, make_snapshot: MakeSnapshot
) -> None:
    """Beside a living trainer the persister vets; otherwise a survey does and keeps the verdict."""
    whole = make_snapshot(10)
    (entry,) = look(root, tmp_path / "out", quiet=False).entries
    assert (entry.valid, entry.proof, entry.reason) == (None, None, NOT_VETTED)
    assert read_verdict(whole) is None
    (entry,) = look(root, tmp_path / "out").entries
    assert entry.valid
    assert read_verdict(whole) is not None
    assert look(root, tmp_path / "out", quiet=False).entries == (entry,)


def test_weights_that_are_not_finite_are_never_chosen(
    tmp_path: Path, root: Path, make_snapshot: MakeSnapshot
) -> None:
    """A snapshot with such weights is listed as valid, and an older one is chosen."""
    make_snapshot(10)
    bad = make_snapshot(20, index=1)
    keep_verdict(bad, SlotVerdict(False, "model.pt holds weights that are NaN", None))
    found = look(root, tmp_path / "out")
    assert found.entries[0].reason == NOT_FINITE
    assert found.entries[0].finite is False
    assert found.newest_valid == found.entries[1]


def test_damage_is_seen_with_and_without_a_verdict(
    tmp_path: Path, root: Path, make_snapshot: MakeSnapshot
) -> None:
    """A snapshot whose file is cut or gone is invalid, whatever an earlier verdict says."""
    whole = make_snapshot(10)
    (whole.path / "model.pt").write_bytes(b"PK")
    assert look(root, tmp_path / "out").entries[0].valid is False
    whole = make_snapshot(20)
    keep_verdict(whole, SlotVerdict(True, None, None))
    shutil.rmtree(whole.path)
    (entry,) = look(root, tmp_path / "out").entries
    assert entry.valid is False
    assert entry.reason is not None


@pytest.mark.parametrize(
    "options",
    [
        {"name": "../../out"},
        {"name": ".."},
        {"name": "a/b"},
        {"name": ".hidden"},
        {"step": "12"},
        {"step": -1},
        {"step": True},
        {"bytes": 1 << 70},
        {"written": None},
        {"before": [1]},
        {"run_id": 7},
    ],
)
def test_a_seal_that_no_writer_makes_is_void(
    root: Path, make_snapshot: MakeSnapshot, options: dict[str, object]
) -> None:
    """A seal with a right CRC counts for nothing if a name leads outside or a type is wrong."""
    folder = make_snapshot(10).slot.folder
    assert len(read_whole(root)) == 1
    seal = SealWriter(folder / "seal")
    snapshot = read_whole(root)[0].snapshot
    seal.begin()
    seal.close_over(11, snapshot._replace(**options))  # type: ignore[arg-type]
    seal.close()
    assert read_whole(root) == []
