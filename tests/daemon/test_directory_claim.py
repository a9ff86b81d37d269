"""The daemon's claim to its checkpoint directory, on real files: made, kept, lost, reported."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from supervisor.checkpoint import owner_mark
from supervisor.checkpoint.owner_mark import mark_of
from supervisor.core.entries.run import RunCreatedEntry
from supervisor.daemon.act.directory_claim import DirectoryClaim
from supervisor.daemon.tell.console import Console
from supervisor.daemon.tell.journal import Journal
from supervisor.rundir.ledger import LedgerWriter, read_ledger
from supervisor.rundir.ownership import Claimant
from supervisor.rundir.paths import RunPaths
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey


@dataclass
class Claiming:
    """A claim, with its messages and entries."""

    claim: DirectoryClaim
    directory: Path
    paths: RunPaths
    terminal: Path

    def look(self) -> None:
        """Survey the directory, as the daemon does after a change there."""
        self.claim.note_survey(survey(SurveyRequest(self.directory, run_id="me")))

    def save(self, step: int) -> None:
        """Make a checkpoint of a trainer without our format."""
        folder = self.directory / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "state.bin").write_bytes(b"1")

    @property
    def mark(self) -> Path:
        """The path of the mark if its directory exists."""
        return self.directory.parent / f".{self.directory.name}.supervised-by"

    @property
    def said(self) -> str:
        """The messages that were printed."""
        return self.terminal.read_text()


@pytest.fixture
def claiming(tmp_path: Path) -> Iterator[Claiming]:
    """A run that was never launched, and its checkpoint directory, which does not exist yet."""
    paths = RunPaths(tmp_path / "runs" / "b")
    paths.state_dir.mkdir(parents=True)
    journal = Journal(LedgerWriter(paths.ledger, paths.reserve), paths.log)
    journal.record(RunCreatedEntry(run_id="me", name="b"))
    terminal = tmp_path / "terminal"
    fd = os.open(terminal, os.O_WRONLY | os.O_CREAT)
    directory = tmp_path / "disk" / "out"
    claimant = Claimant("me", "b", paths.run_dir, False)
    console = Console(fd, enabled=True)
    claim = DirectoryClaim(directory, claimant, journal, console, has_begun=False)
    yield Claiming(claim, directory, paths, terminal)
    os.close(fd)
    journal.ledger.close()


def other_run(folder: Path) -> Path:
    """Make another run's directory with its ledger."""
    paths = RunPaths(folder)
    paths.state_dir.mkdir(parents=True)
    writer = LedgerWriter(paths.ledger, paths.reserve)
    writer.append([RunCreatedEntry(run_id="other", name="a").to_json()])
    writer.close()
    return folder


def test_no_mark_before_a_launch(claiming: Claiming) -> None:
    """A run that is held before its first attempt leaves the directory as it is."""
    claiming.save(10)
    claiming.look()
    claiming.claim.poll()
    assert not claiming.mark.exists()
    assert claiming.claim.begin() is None
    assert json.loads(claiming.mark.read_text())["run_id"] == "me"


def test_as_soon_as_the_parent_is_there(claiming: Claiming) -> None:
    """The daemon makes no directory of the trainer's; the parent is enough for the mark."""
    assert claiming.claim.begin() is None
    claiming.claim.poll()
    assert not claiming.directory.parent.exists()
    claiming.directory.parent.mkdir()
    claiming.claim.poll()
    assert claiming.mark.exists()
    assert claiming.claim.warning is None


def test_a_place_that_another_run_was_quicker_at(claiming: Claiming, tmp_path: Path) -> None:
    """The directory of another run brings one message and a warning, but no launch there."""
    assert claiming.claim.begin() is None
    claiming.directory.parent.mkdir()
    folder = other_run(tmp_path / "runs" / "a")
    assert owner_mark.make(claiming.mark, mark_of("other", "a", folder))
    claiming.save(10)
    for _ in range(3):
        claiming.look()
    assert claiming.said.count("refuses the next launch") == 1
    for word in ("'a'", str(folder), "'b'", str(claiming.paths.run_dir)):
        assert word in str(claiming.claim.warning)
    assert claiming.claim.refusal() is not None
    refused = claiming.claim.begin()
    assert refused is not None
    assert "checkpoints.directory" in refused
    shutil.rmtree(folder)
    claiming.look()
    assert claiming.claim.warning is None
    assert claiming.claim.refusal() is None
    assert "over from the run 'a'" in claiming.said
    (took,) = [e for e in read_ledger(claiming.paths.ledger) if e["type"] == "took_over"]
    assert (took["run_id"], took["directory"]) == ("other", str(claiming.directory))


@pytest.mark.parametrize("damage", ["{", ""])
def test_the_own_mark_is_repaired(claiming: Claiming, damage: str) -> None:
    """A rotten mark holds no run that owned the directory, and does not stop pruning."""
    claiming.directory.mkdir(parents=True)
    assert claiming.claim.begin() is None
    claiming.mark.write_text(damage)
    assert claiming.claim.refusal() is None
    assert claiming.claim.begin() is None
    assert json.loads(claiming.mark.read_text())["run_id"] == "me"


def test_a_damaged_mark_that_was_never_ours(claiming: Claiming) -> None:
    """The owner is unknown: no launch, and no file is moved or deleted."""
    claiming.directory.mkdir(parents=True)
    claiming.mark.write_text("{")
    refused = claiming.claim.begin()
    assert refused is not None
    assert "--take-over" in refused
    assert claiming.claim.refusal() is not None


def test_nowhere_to_mark(claiming: Claiming) -> None:
    """Without a place for the mark the run goes on, and its log says why there is none."""
    claiming.directory.parent.write_text("a file")
    assert claiming.claim.begin() is None
    assert claiming.claim.refusal() is None
    assert claiming.claim.warning is None
    assert "Not a directory" in claiming.paths.log.read_text()


@pytest.mark.parametrize(("since", "is_told"), [(5.0, True), (15.0, False)])
def test_the_owner_is_told_of_another_that_saves_there(
    claiming: Claiming, tmp_path: Path, since: float, is_told: bool
) -> None:
    """One message and a warning, if the trainer named the directory and the other saved since."""
    other = RunPaths(other_run(tmp_path / "runs" / "a"))
    path = claiming.directory.resolve() / "checkpoint-10"
    other.trainings.write_text(json.dumps({"checkpoint": str(path), "changed": 10.0}) + "\n")
    claim = claiming.claim
    claim._claimant = replace(claim._claimant, trains_since=since)
    assert claim.begin() is None
    claiming.save(10)
    claiming.look()
    claiming.look()
    assert (claim.warning is not None) is is_told
    assert claiming.said.count("--output_dir") == int(is_told)
    assert claiming.said.count(str(other.run_dir)) == int(is_told)
