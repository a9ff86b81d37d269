"""Directories that trainers named: which are looked into, whose they are, what is pruned there."""

import json
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from supervisor.checkpoint.owner_mark import make, mark_of
from supervisor.checkpoint.records import Remembered
from supervisor.config.model import RunConfig
from supervisor.core.effects import SetAside
from supervisor.core.entries.decision import DecisionEntry
from supervisor.core.entries.run import RunCreatedEntry
from supervisor.core.entries.trainer import DescribedEntry
from supervisor.core.events import Surveyed
from supervisor.core.history import History, NamedPlace
from supervisor.core.vocabulary import RunState
from supervisor.daemon.act.clear_before_launch import tell_end
from supervisor.daemon.act.directory_claims import DirectoryClaims, claims_of
from supervisor.daemon.act.pruner import Pruner
from supervisor.daemon.act.set_aside import set_aside
from supervisor.daemon.look.attempt_times import AttemptTimes
from supervisor.daemon.look.described_directories import DescribedDirectories
from supervisor.daemon.look.surveyor import Surveyor
from supervisor.daemon.tell.console import Console
from supervisor.daemon.tell.journal import Journal
from supervisor.rundir.described_places import PLACES_MAX, as_recorded, described_places
from supervisor.rundir.ledger import LedgerWriter, read_ledger
from supervisor.rundir.paths import RunPaths
from tests.daemon.test_surveyor import answer

NOW = 1_800_000_000.0


@dataclass
class Scene:
    """A run without a configured directory: its surveyor, claims and pruner, on real files."""

    folder: Path
    paths: RunPaths
    config: RunConfig
    named: DescribedDirectories
    journal: Journal
    surveyor: Surveyor
    claims: DirectoryClaims
    terminal: Path

    def describe(self, name: str, attempt: int = 1, **more: Any) -> Path:
        """The trainer names a directory."""
        place = self.folder / name
        self.journal.record(DescribedEntry(attempt=attempt, directory=str(place), **more))
        return place

    def save(self, place: Path, *steps: int, age_s: float = 100.0, good: bool = True) -> None:
        """Checkpoints of a trainer without our format, `age_s` old. Negative: from before."""
        place.mkdir(parents=True, exist_ok=True)
        for step in steps:
            path = place / f"checkpoint-{step}.pt"
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("a/data.pkl", b"N.")
            if not good:
                path.write_bytes(path.read_bytes()[:-10])
            os.utime(path, (NOW - age_s, NOW - age_s))

    def survey(self) -> Surveyed:
        """Survey for a decision."""
        times = AttemptTimes(first=NOW - 1000.0, started=NOW - 1000.0)
        assert self.surveyor.begin(deciding=True, pins=frozenset(), times=times) is None
        found = answer(self.surveyor)
        assert isinstance(found.event, Surveyed)
        assert found.survey is not None
        self.found = found.survey
        self.gone = found.gone
        return found.event

    def steps(self) -> list[tuple[str, int | None]]:
        """The candidates for a launch, each with its directory's name."""
        found = self.survey().candidates
        return [(Path(one.path).parent.name, one.step) for one in found]

    @property
    def run(self) -> Any:
        """What pruner and setting aside take from a run."""
        return SimpleNamespace(
            config=self.config, paths=self.paths, journal=self.journal, surveyor=self.surveyor,
            directory_claim=self.claims, runtime=SimpleNamespace(root=self.folder),
            console=Console(-1, enabled=False),
        )  # fmt: skip


def scene_of(folder: Path, name: str, **checkpoints: Any) -> Scene:
    """A run called `name`."""
    paths = RunPaths(folder / "runs" / name)
    paths.state_dir.mkdir(parents=True)
    journal = Journal(LedgerWriter(paths.ledger, paths.reserve), paths.log)
    journal.record(RunCreatedEntry(run_id=name, name=name))
    raw = {"name": name, "command": ["t"], "run_dir": str(paths.run_dir)}
    config = RunConfig.model_validate({**raw, "checkpoints": checkpoints}).resolved(folder)
    terminal = folder / f"terminal-{name}"
    console = Console(os.open(terminal, os.O_WRONLY | os.O_CREAT), enabled=True)
    followed = config.configured_directory is None
    named = DescribedDirectories(paths, History(), are_followed=followed)
    journal.listeners.append(named.note)
    surveyor = Surveyor(
        Path(config.checkpoints.directory or paths.run_dir), folder / f"shm-{name}", run_id=name,
        existing=config.resume.existing, memory={}, named=named, set_aside=paths.set_aside,
    )  # fmt: skip
    claims = claims_of(config, name, paths.run_dir, History(), named, journal, console)
    return Scene(folder, paths, config, named, journal, surveyor, claims, terminal)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A run that keeps two checkpoints of any trainer."""
    made = scene_of(tmp_path, "mine", keep=2)
    yield made
    made.surveyor.cancel()


def test_the_directory_that_was_named_last_counts_first(scene: Scene) -> None:
    """Stage 2's checkpoints are chosen from, whatever the steps of stage 1."""
    one, two = scene.describe("one"), scene.describe("two")
    scene.save(one, 900, 1000)
    scene.save(two, 10, 20)
    event = scene.survey()
    assert [(c.step, c.place) for c in event.candidates] == [(20, str(two)), (10, str(two))]
    assert scene.surveyor.directory == two
    scene.describe("one")
    assert scene.steps() == [("one", 1000), ("one", 900)]


@pytest.mark.parametrize("linked", [False, True])
def test_a_tools_folder_is_found_once(scene: Scene, linked: bool) -> None:
    """A named directory below the run's own, and in it a folder that a tool makes by itself.

    The walk below the run's own directory meets it, too: each checkpoint counts once, and `keep`
    keeps the newest.
    """
    out = scene.describe("link/out" if linked else "runs/mine/out")
    (scene.folder / "link").symlink_to(scene.paths.run_dir)
    saves = scene.paths.run_dir / "out" / "checkpoints"
    scene.save(saves, 10, 20, 30, 40)
    for path in list(saves.iterdir()):
        step = path.stem.split("-")[1]
        path.rename(saves / f"epoch=0-step={step}.ckpt")
    event = scene.survey()
    assert [(one.step, one.place) for one in event.candidates] == [
        (step, str(out)) for step in (40, 30, 20, 10)
    ]
    paths = [os.path.realpath(entry.path) for entry in scene.found.entries]
    assert len(paths) == len(set(paths)) == 4
    assert scene.claims.begin() is None
    pruner = Pruner(scene.run)
    pruner.prune(scene.found, frozenset())
    pruner.finish(30.0)
    left = sorted(path.name for path in saves.iterdir() if path.suffix == ".ckpt")
    assert left == ["epoch=0-step=30.ckpt", "epoch=0-step=40.ckpt"]


def test_a_folder_that_no_trainer_named_does_not_lead(scene: Scene) -> None:
    """An earlier stage's folder below the run's own directory does not come before stage 2."""
    one = scene.paths.run_dir / "stage1" / "checkpoints"
    scene.save(one, 5000)
    next(one.iterdir()).rename(one / "epoch=0-step=5000.ckpt")
    two = scene.describe("two")
    scene.save(two, 200)
    assert scene.steps() == [("two", 200)]


def test_an_empty_or_bad_directory_falls_back(scene: Scene) -> None:
    """Nothing to resume from in the last directory: the one before it counts; bad ones are told."""
    one, two = scene.describe("one"), scene.describe("two")
    scene.save(one, 30)
    assert scene.steps() == [("one", 30)]
    scene.save(two, 10, good=False)
    event = scene.survey()
    assert [c.step for c in event.candidates] == [30]
    assert [path for path, _ in event.invalid] == [str(two / "checkpoint-10.pt")]


def test_one_step_further_back_is_in_the_directory_before(scene: Scene) -> None:
    """With one step to choose from, earlier steps of the directory before follow; no later ones."""
    one, two = scene.describe("v0"), scene.describe("v1")
    scene.save(one, 10, 20, 50)
    scene.save(two, 30)
    assert scene.steps() == [("v1", 30), ("v0", 20), ("v0", 10)]


def test_the_runs_own_checkpoints_come_first(scene: Scene) -> None:
    """A script that saves into the run directory by itself goes on from there as before."""
    out = scene.describe("out")
    scene.save(out, 70)
    scene.save(scene.paths.run_dir, 5, age_s=5000.0)
    assert scene.steps() == [("out", 70)], "those from before the run are not its own"
    scene.save(scene.paths.run_dir, 60)
    assert scene.steps()[0] == ("mine", 60)


def test_what_was_there_before_is_left_alone(scene: Scene) -> None:
    """Neither a candidate, nor undecided, nor invalid, nor pruned: also with `existing: use`."""
    out = scene.describe("out")
    scene.save(out, 1, 2, 3, 4, age_s=5000.0)
    scene.save(out, 9, age_s=5000.0, good=False)
    for existing in (None, "use"):
        scene.surveyor._existing = existing  # type: ignore[assignment]
        event = scene.survey()
        assert (event.candidates, event.undecided, event.invalid) == ((), (), ())
        assert not event.exists
    Pruner(scene.run).prune(scene.found, frozenset())
    set_aside(SetAside(event.invalid, (), None), scene.run, SimpleNamespace())  # type: ignore[arg-type]
    assert len(list(out.iterdir())) == 5


def test_each_directory_keeps_its_own(scene: Scene) -> None:
    """`keep` counts in each directory; the best that a trainer named stays in each."""
    one = scene.describe("one")
    scene.describe("one", best=str(one / "checkpoint-10.pt"))
    two = scene.describe("two")
    scene.save(one, 10, 20, 30, 40)
    scene.save(two, 1, 2, 3)
    scene.survey()
    pruner = Pruner(scene.run)
    scene.claims.begin()
    pruner.prune(scene.found, frozenset())
    pruner.finish(30.0)
    left = {place.name: sorted(path.name for path in place.glob("*.pt")) for place in (one, two)}
    assert left == {
        "one": ["checkpoint-10.pt", "checkpoint-30.pt", "checkpoint-40.pt"],
        "two": ["checkpoint-2.pt", "checkpoint-3.pt"],
    }


def test_a_configured_directory_is_the_only_one(tmp_path: Path) -> None:
    """With `checkpoints.directory` nothing that a trainer names is looked into or marked."""
    scene = scene_of(tmp_path, "mine", directory="ckpt")
    out = scene.describe("out")
    scene.save(out, 10)
    assert scene.steps() == []
    assert scene.surveyor.directory == tmp_path / "ckpt"
    assert scene.claims.begin() is None
    scene.claims.poll()
    assert not (tmp_path / ".out.supervised-by").exists()
    scene.surveyor.cancel()


def test_it_is_marked_as_soon_as_it_is_named(scene: Scene) -> None:
    """The mark lies beside the directory, before the trainer has made it."""
    scene.claims.poll()
    scene.describe("out")
    scene.claims.poll()
    mark = json.loads((scene.folder / ".out.supervised-by").read_text())
    assert mark["run_id"] == "mine"
    assert not (scene.folder / "out").exists()
    assert scene.claims.warning is None


def other_run(scene: Scene, *, finished: bool) -> None:
    """Another run has marked `out`."""
    paths = RunPaths(scene.folder / "runs" / "other")
    paths.state_dir.mkdir(parents=True)
    writer = LedgerWriter(paths.ledger, paths.reserve)
    entries = [RunCreatedEntry(run_id="other", name="other").to_json()]
    entries += [DecisionEntry(state=RunState.COMPLETED).to_json()] if finished else []
    writer.append(entries)
    writer.close()
    mark = mark_of("other", "other", paths.run_dir)
    assert make(scene.folder / ".out.supervised-by", mark)


def test_another_runs_directory_is_told_and_refused(scene: Scene) -> None:
    """Told once while the attempt runs; nothing is changed there, and no launch follows."""
    other_run(scene, finished=False)
    out = scene.describe("out")
    scene.save(out, 10, 20, 30)
    for _ in range(3):
        scene.claims.poll()
        scene.survey()
        scene.claims.note_survey(scene.found)
    assert scene.terminal.read_text().count("refuses the next launch") == 1
    assert scene.claims.warning is not None
    assert "'other'" in scene.claims.warning
    assert scene.claims.conflict() is not None
    assert scene.claims.begin() is not None
    Pruner(scene.run).prune(scene.found, frozenset())
    bad = (str(out / "checkpoint-10.pt"), "damaged")
    set_aside(SetAside((bad,), (), None), scene.run, SimpleNamespace())  # type: ignore[arg-type]
    assert len(list(out.iterdir())) == 3


def test_a_finished_runs_directory_is_taken_over(scene: Scene) -> None:
    """The trainer saves there now. What the finished run left is not this run's."""
    other_run(scene, finished=True)
    out = scene.describe("out")
    scene.save(out, 500, age_s=5000.0)
    scene.claims.poll()
    assert "takes" in scene.terminal.read_text()
    assert scene.claims.warning is None
    assert scene.claims.begin() is None
    assert scene.steps() == []


def test_a_directory_named_earlier_may_be_anothers_by_now(scene: Scene) -> None:
    """It is looked at again before anything is moved there; the launch is not refused for it."""
    out = scene.describe("out")
    scene.save(out, 10, 20, 30)
    scene.describe("new")
    other_run(scene, finished=False)
    assert scene.claims.begin() is None
    scene.survey()
    Pruner(scene.run).prune(scene.found, frozenset())
    bad = (str(out / "checkpoint-10.pt"), "damaged")
    set_aside(SetAside((bad,), (), None), scene.run, SimpleNamespace())  # type: ignore[arg-type]
    assert len(list(out.iterdir())) == 3


def test_a_checkpoint_that_is_not_looked_at_is_not_gone(scene: Scene) -> None:
    """Of very many directories some are not looked into: their checkpoints are no loss."""
    first = scene.describe("trial-0")
    known = Remembered("f", True, "structure", None, {}, 10, None, None, 1)
    scene.surveyor._memory[str(first / "checkpoint-10.pt")] = known
    for trial in range(1, PLACES_MAX + 1):
        place = scene.describe(f"trial-{trial}", attempt=2)
        scene.surveyor._memory[str(place / "checkpoint-1.pt")] = known
    scene.save(scene.folder / f"trial-{PLACES_MAX}", 1)
    scene.survey()
    assert str(first / "checkpoint-10.pt") not in scene.gone
    assert str(scene.folder / "trial-1" / "checkpoint-1.pt") in scene.gone


def test_which_places_count() -> None:
    """The last one, those of the same attempt, and those that hold a checkpoint; 16 at most."""
    run_dir = Path("/run")
    places = [NamedPlace("/d", 3), NamedPlace("c", 3), NamedPlace("/b", 2), NamedPlace("/a", 1)]
    found = described_places(run_dir, places, ["/a/checkpoint-1", "/other/checkpoint-1"])
    assert found == (Path("/d"), Path("/run/c"), Path("/a"))
    many = [NamedPlace(f"/{number}", 1) for number in range(100)]
    assert len(described_places(run_dir, many, [])) == PLACES_MAX
    assert described_places(run_dir, [], []) == ()
    assert as_recorded("/run/out", run_dir) == "out"
    assert as_recorded("/runs", run_dir) == "/runs"


@pytest.mark.parametrize(
    ("more", "kind"), [({}, "sign_described"), ({"total_steps": 40}, "described")]
)
def test_the_description_of_an_attempt_that_nobody_watched(
    scene: Scene, more: dict[str, object], kind: str
) -> None:
    """Launcher and daemon died: the next daemon reads from memory where the last saves are."""
    pages = scene.folder / "pages"
    pages.mkdir()
    said = {"attempt": 4, "checkpoint_dir": str(scene.folder / "out"), "framework": "f 1", **more}
    (pages / "describe-0.json").write_text(json.dumps(said))
    run = scene.run
    run.history = SimpleNamespace(attempt=4)
    run.runtime = SimpleNamespace(heartbeat_dir=lambda _attempt: pages)
    tell_end(run, None)
    assert scene.surveyor.directory == scene.folder / "out"
    kinds = [entry["type"] for entry in read_ledger(scene.paths.ledger)]
    assert kinds[-2:] == [kind, "attempt_unwatched"]


def record_save(scene: Scene, line: object) -> None:
    """An adapter puts a save on record."""
    with scene.paths.trainings.open("a") as file:
        file.write((line if isinstance(line, str) else json.dumps(line)) + "\n")


def test_a_training_that_no_look_saw(scene: Scene) -> None:
    """A stage of half a second saves and ends between two looks: its record names its directory."""
    one = scene.folder / "one"
    scene.save(one, 10, 20)
    assert scene.steps() == []
    record_save(scene, {"attempt": 1, "directory": str(one), "ordinal": 1,
                        "checkpoint": str(one / "checkpoint-20.pt"), "step": 20})  # fmt: skip
    assert scene.steps() == [("one", 20), ("one", 10)]
    two = scene.describe("two")
    assert scene.surveyor.directory == two
    assert scene.steps() == [("one", 20), ("one", 10)]
    scene.save(two, 5)
    assert scene.steps() == [("two", 5)]


@pytest.mark.parametrize(
    "line",
    ["", "{", "[1]", "null", "[" * 100_000, {"checkpoint": "/a/b"}, {"checkpoint": 3, "attempt": 1},
     {"checkpoint": "a/b", "attempt": 1}, {"checkpoint": "/b", "attempt": 1},
     {"checkpoint": "/a\0b/c", "attempt": 1}, {"checkpoint": "/a/b", "attempt": True}],
    ids=lambda line: str(line)[:30],
)  # fmt: skip
def test_lines_that_name_nothing(scene: Scene, line: object) -> None:
    """A damaged line, or another version's, is passed over; the others count."""
    record_save(scene, line)
    record_save(scene, {"checkpoint": "/x/y/checkpoint-1", "attempt": 1})
    record_save(scene, line)
    assert scene.surveyor.directories == (scene.paths.run_dir, Path("/x/y"))


def test_a_long_record_is_read_from_its_end(scene: Scene) -> None:
    """The newest lines count, and a record in a pipe's place is not waited for."""
    for number in range(4000):
        record_save(scene, {"checkpoint": f"/a/{number % 3999}/c-1", "attempt": 1, "x": "y" * 100})
    found = scene.surveyor.directories
    assert found[1:4] == (Path("/a/0"), Path("/a/3998"), Path("/a/3997"))
    assert len(found) == 1 + PLACES_MAX
    scene.paths.trainings.unlink()
    os.mkfifo(scene.paths.trainings)
    assert scene.surveyor.directories == (scene.paths.run_dir,)
