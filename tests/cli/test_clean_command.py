"""`supervisor clean`: removes what dead runs left in memory, never what a living one uses."""

import json
import mmap
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from supervisor.checkpoint.validate import validate
from supervisor.cli import runtime_directories
from supervisor.cli.commands.clean import clean_command
from supervisor.core.vocabulary import ExitCode
from supervisor.errors import SupervisorError
from supervisor.memory.slots import Whole
from supervisor.memory.snapshot_proof import SlotVerdict, keep_verdict
from supervisor.rundir.metrics_path import metrics_path
from tests.checkpoint.conftest import write_snapshot
from tests.cli.conftest import ROOT, FakeRun

FILES = {"model.bin": b"weights"}
USE = {
    "lock": "from supervisor.memory.slots import Lock\nlock = Lock(path); lock.acquire()",
    "shared lock": "from supervisor.memory.slots import Lock\n"
    "lock = Lock(path); lock.acquire(shared=True)",
    "open file": "file = path.open('rb')",
    "mapping": "import mmap\nwith path.open('r+b') as f: page = mmap.mmap(f.fileno(), 4096)",
}


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This user's directory in a shared memory of the test."""
    monkeypatch.setattr(runtime_directories, "SHARED_MEMORY", tmp_path / "shm")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "user"))
    path = tmp_path / "shm" / f"train-supervisor-{os.getuid()}"
    path.mkdir(parents=True, mode=0o700)
    return path


def clean(*words: str, answer: str | None = None) -> Result:
    """Run the command, as in a pipe; it must not fail."""
    result = CliRunner().invoke(clean_command, list(words), input=answer)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def listed(*words: str) -> list[dict[str, Any]]:
    """The documents that `--json` prints."""
    found: list[dict[str, Any]] = json.loads(clean("--json", *words).output)
    return found


def age(path: Path) -> Path:
    """Make a path old, so that it does not count as just made."""
    then = time.time() - 60
    os.utime(path, (then, then))
    return path


def leave(parent: Path, directory: Path, step: int, run_id: str = "r1", **options: Any) -> Whole:
    """Make what a supervised run leaves in memory when all of it is killed."""
    folder = parent / run_id
    (folder / "attempt-0001").mkdir(parents=True)
    (folder / "attempt-0001" / "rank-0").write_bytes(bytes(4096))
    whole = write_snapshot(
        folder / "snapshots", directory, FILES, step, **{"run_id": run_id, **options}
    )
    age(folder)
    return whole


@pytest.fixture
def user(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts processes that use a file in a given way until the test ends."""
    started: list[subprocess.Popen[str]] = []

    def start(how: str, path: Path, **environment: str) -> subprocess.Popen[str]:
        code = f"import sys\nfrom pathlib import Path\npath = Path(sys.argv[1])\n{USE.get(how, '')}"
        process = subprocess.Popen(
            [sys.executable, "-c", f"{code}\nprint('on', flush=True)\nsys.stdin.read()", str(path)],
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "on\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_nothing_is_left(tmp_path: Path, parent: Path) -> None:
    """Nothing is listed without the directory, or with only the register in it."""
    (parent / "runs").mkdir()
    assert "Dead runs left nothing" in clean().output
    assert listed() == []
    (parent / "runs").rmdir()
    parent.rmdir()
    assert listed() == []


def test_the_only_copy_is_not_removed_by_the_way(
    tmp_path: Path, parent: Path, fake_run: FakeRun
) -> None:
    """The command names the run; only its id with `--yes` removes the only copy."""
    fake_run.create()
    fake_run.write_status("running", run_id="r1", config="config.yaml")
    leave(parent, fake_run.run_dir, 120)
    text = clean("--yes").output
    assert "r1 of" in text
    assert str(fake_run.run_dir.name) in text
    assert "step 120" in text
    assert "NOT on the disk" in text
    assert "supervisor run config.yaml" in text
    (entry,) = listed("--yes")
    assert (entry["step"], entry["newer_than_disk"], entry["removed"]) == (120, True, False)
    assert entry["run_dir"] == str(fake_run.run_dir)
    assert (parent / "r1").is_dir()
    (entry,) = listed("--yes", "r1")
    assert entry["removed"] is True
    assert list(parent.iterdir()) == []


def test_saved_to_the_disk_it_may_go(tmp_path: Path, parent: Path, fake_run: FakeRun) -> None:
    """`--save` makes a checkpoint that is proven by hashes; then the snapshot may be removed."""
    fake_run.create()
    fake_run.write_status("running", run_id="r1")
    leave(parent, fake_run.run_dir, 120)
    (entry,) = listed("--save", "--yes")
    assert (entry["worth"], entry["disk_step"], entry["removed"]) == ("on the disk", 120, True)
    verdict = validate(fake_run.run_dir / "checkpoint-120")
    assert (verdict.valid, verdict.proof, verdict.run_id) == (True, "hashes", "r1")
    assert list(parent.iterdir()) == []


def test_without_a_supervisor(tmp_path: Path, parent: Path) -> None:
    """The directory of an unsupervised trainer is compared with its checkpoint directory."""
    for step, disk in ((20, None), (30, 20)):
        root = parent / "own-7"
        write_snapshot(root, tmp_path / "out", FILES, step, run_id=None)
        age(root)
        (entry,) = listed()
        assert (entry["run_dir"], entry["worth"], entry["disk_step"]) == (None, "only copy", disk)
        (entry,) = listed("--save")
        assert entry["worth"] == "on the disk"
    (entry,) = listed("--yes")
    assert (entry["worth"], entry["disk_step"], entry["removed"]) == ("on the disk", 30, True)


def test_what_cannot_be_used_is_said_to_be_so(tmp_path: Path, parent: Path) -> None:
    """Weights that are not finite, and a directory without a snapshot, cannot be used."""
    whole = leave(parent, tmp_path, 5)
    keep_verdict(whole, SlotVerdict(False, "model.pt holds weights that are NaN", None))
    (parent / "r2").mkdir()
    age(parent / "r2")
    first, second = listed()
    assert (first["worth"], first["reason"]) == ("useless", "model.pt holds weights that are NaN")
    assert (second["worth"], second["step"]) == ("none", None)
    assert "cannot be used" in clean("--yes").output
    assert list(parent.iterdir()) == []


def test_an_older_good_one_counts_where_the_newest_is_bad(tmp_path: Path, parent: Path) -> None:
    """The other slot may hold the only copy that can be used."""
    leave(parent, tmp_path, 4)
    bad = write_snapshot(parent / "r1" / "snapshots", tmp_path, FILES, 5, index=1, run_id="r1")
    keep_verdict(bad, SlotVerdict(None, None, "damaged"))
    (entry,) = listed()
    assert (entry["step"], entry["worth"]) == (4, "only copy")


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ("lock", "snapshots/writer.lock"),
        ("lock", "snapshots/persister.lock"),
        ("shared lock", "snapshots/slot-0/lock"),
        ("open file", "snapshots/slot-0/seal"),
        ("mapping", "attempt-0001/rank-0"),
    ],
)
def test_what_is_in_use_is_left_alone(
    tmp_path: Path,
    parent: Path,
    user: Callable[..., subprocess.Popen[str]],
    how: str,
    name: str,
) -> None:
    """A lock, an open file or a mapping of one process keeps everything of its run."""
    leave(parent, tmp_path, 5)
    process = user(how, parent / "r1" / name)
    assert listed("--yes") == []
    refused = CliRunner().invoke(clean_command, ["--yes", "r1"])
    assert isinstance(refused.exception, SupervisorError)
    assert (parent / "r1" / "snapshots").is_dir()
    process.kill()
    process.wait()
    assert len(listed()) == 1


def test_a_process_of_the_run_keeps_it(
    tmp_path: Path, parent: Path, user: Callable[..., subprocess.Popen[str]]
) -> None:
    """A process with the run's id keeps its directory; a run whose id is a prefix is not kept."""
    leave(parent, tmp_path, 5)
    leave(parent, tmp_path, 5, run_id="r10")
    user("", tmp_path, SUPERVISOR_RUN_ID="r10")
    assert [entry["path"] for entry in listed()] == [str(parent / "r1")]


def test_a_supervisor_keeps_it(tmp_path: Path, parent: Path, fake_run: FakeRun) -> None:
    """Between two attempts no process of the run need have any file open."""
    fake_run.create()
    leave(parent, fake_run.run_dir, 5)
    fake_run.hold_lock()
    assert listed("--yes") == []
    fake_run.end()
    assert len(listed()) == 1


def test_what_was_just_made_is_left_alone(parent: Path) -> None:
    """A trainer makes the directory before it can lock a file in it."""
    (parent / "own-1").mkdir()
    assert listed() == []
    age(parent / "own-1")
    assert len(listed()) == 1


def test_links_and_strangers_are_passed_over(tmp_path: Path, parent: Path) -> None:
    """A link's target is no leftover; a directory that others may write to is not read."""
    (tmp_path / "precious").mkdir()
    age(tmp_path / "precious")
    (parent / "r1").symlink_to(tmp_path / "precious")
    assert listed("--yes") == []
    (parent / "r2").mkdir()
    age(parent / "r2")
    parent.chmod(0o777)
    assert listed("--yes") == []
    assert (tmp_path / "precious").is_dir()
    assert (parent / "r2").is_dir()


def test_without_a_terminal_nothing_is_removed_unasked(tmp_path: Path, parent: Path) -> None:
    """Without a terminal the command lists the directories and says what to type."""
    (parent / "r2").mkdir()
    age(parent / "r2")
    assert "--yes" in clean().output
    assert (parent / "r2").is_dir()


def test_a_name_that_is_none(parent: Path) -> None:
    """An unknown name exits 2, and nothing is removed."""
    (parent / "r2").mkdir()
    age(parent / "r2")
    result = CliRunner().invoke(clean_command, ["--yes", "r1"])
    assert isinstance(result.exception, SupervisorError)
    assert result.exception.code == ExitCode.USAGE
    assert (parent / "r2").is_dir()


def test_a_page_of_this_process_is_no_other_process(tmp_path: Path, parent: Path) -> None:
    """A mapping of the command itself does not make a run alive."""
    leave(parent, tmp_path, 5)
    with (parent / "r1" / "attempt-0001" / "rank-0").open("r+b") as file:
        page = mmap.mmap(file.fileno(), 4096)
    assert len(listed()) == 1
    page.close()


def metrics_of(run: FakeRun, directory: Path, state: str) -> Path:
    """What a run that has ended in this state left of its metrics."""
    run.paths.config.write_text(json.dumps({"metrics": {"textfile": str(directory)}}))
    run.write_status(state)
    path = metrics_path(directory, run.name, "r1")
    path.write_text("train_supervisor_info 1\n")
    return path


def test_the_metrics_of_an_ended_run_are_removed(
    parent: Path, fake_run: FakeRun, tmp_path: Path
) -> None:
    """They are listed with the run's state; nothing beside them is touched."""
    path = metrics_of(fake_run, tmp_path, "completed")
    other = tmp_path / "other.prom"
    other.touch()
    run_dir = str(fake_run.run_dir)
    assert f"{path}  metrics of" in clean(run_dir).output
    assert path.exists()
    (one,) = listed(run_dir)
    assert (one["path"], one["worth"], one["reason"]) == (str(path), "metrics", "completed")
    assert "removed 1" in clean("--yes", run_dir).output
    assert not path.exists()
    assert other.exists()


def test_the_metrics_of_a_held_run_go_only_by_name(
    parent: Path, fake_run: FakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They keep up the alert."""
    path = metrics_of(fake_run, tmp_path, "held")
    monkeypatch.chdir(fake_run.run_dir.parent)
    assert "supervisor clean " in clean("--yes").output
    assert path.exists()
    clean("--yes", str(fake_run.run_dir))
    assert not path.exists()


def test_metrics_of_a_living_run_are_left_alone(
    parent: Path, fake_run: FakeRun, tmp_path: Path
) -> None:
    """Its supervisor writes them again and again."""
    path = metrics_of(fake_run, tmp_path, "completed")
    fake_run.hold_lock()
    with pytest.raises(SupervisorError, match="left nothing, or it still lives"):
        CliRunner().invoke(clean_command, [str(fake_run.run_dir)], catch_exceptions=False)
    assert path.exists()
