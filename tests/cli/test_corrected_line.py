"""A mistyped line does not keep the run's name; a run that has trained does. Real daemons."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from supervisor.cli.commands.run import _hand_over
from supervisor.cli.start.command_run import claim, command_run
from supervisor.cli.start.correction import refuse_changed, write_correction
from supervisor.cli.start.handover import Start, take_lock
from supervisor.cli.start.typed_line import TypedLine
from supervisor.cli.start.untrained import is_untrained
from supervisor.config.load import load_config
from supervisor.core.entries.attempt import AttemptEndedEntry, FirstStepEntry
from supervisor.core.entries.entry import Entry, UnknownEntry
from supervisor.core.entries.saves import CheckpointVerdictEntry
from supervisor.core.entries.trainer import DescribedEntry
from supervisor.core.vocabulary import Failure, Intent
from supervisor.errors import SupervisorError
from supervisor.rundir.intent import write_intent
from supervisor.rundir.ledger import LedgerWriter, read_ledger
from supervisor.rundir.lock import RunLock
from supervisor.rundir.paths import RunPaths
from supervisor.slurm.submission import remember
from tests.cli.conftest import make_environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Command

SCRIPT = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
print("lr", parser.parse_args().lr)
"""
WORDS = ["run", "--plain", "--", sys.executable, "train.py"]


@pytest.fixture
def paths(command: Command, tmp_path: Path) -> RunPaths:
    """A run that is held, since its first line had a mistyped option."""
    (tmp_path / "train.py").write_text(SCRIPT)
    done = command(*WORDS, "--lrr", "3")
    assert done.returncode == 1, done.stdout + done.stderr
    return RunPaths(tmp_path / "runs" / "train")


def test_the_corrected_line_takes_the_name(command: Command, paths: RunPaths) -> None:
    """Its words replace the old ones in the file and nothing else there; the run goes on by it."""
    config = paths.run_dir / "config.yaml"
    config.write_text(config.read_text() + "\nenv: {KEPT: 'yes'}  # mine\n")
    before = config.read_text()
    done = command(*WORDS, "--lr", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing was trained under this name, so runs/train/config.yaml gets" in done.stdout
    assert config.read_text() == before.replace("--lrr", "--lr")
    assert config.stat().st_mode & 0o777 == 0o600
    assert load_config(config).config.command == (*WORDS[3:], "--lr", "3")
    assert paths.train_log.read_text().endswith("lr 3.0\n")
    assert [one["type"] for one in read_ledger(paths.ledger)].count("attempt_started") == 2


def test_a_line_that_is_wrong_again_can_be_corrected_again(
    command: Command, paths: RunPaths
) -> None:
    """Also in the background; `-q` prints nothing."""
    again = ["run", "--detach", *WORDS[2:], "--lr", "x"]
    assert command(*again).returncode == 0
    status: dict[str, object] = {"live": True}
    while status["live"]:
        status = json.loads(command("status", "--json", paths.run_dir).stdout)
    done = command("run", "-q", *WORDS[2:], "--lr", "4")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert paths.train_log.read_text().endswith("lr 4.0\n")


def test_a_start_that_never_came_to_an_attempt_does_not_keep_the_name(
    command: Command, tmp_path: Path
) -> None:
    """The configuration alone is there: its process was killed before it had the lock."""
    (tmp_path / "train.py").write_text(SCRIPT)
    assert command("init", "made.yaml", "--", *WORDS[3:], "--lr", "1").returncode == 0
    folder = tmp_path / "runs" / "train"
    folder.mkdir(parents=True)
    text = (tmp_path / "made.yaml").read_text().replace("name: made", "name: train")
    (folder / "config.yaml").write_text(text.replace("\n# cwd:", "\ncwd: ../..\n# cwd:"))
    done = command(*WORDS, "--lr", "2")
    assert done.returncode == 0, done.stderr
    assert RunPaths(folder).train_log.read_text() == "lr 2.0\n"


def _with(entry: Entry) -> Callable[[RunPaths], object]:
    def note(paths: RunPaths) -> None:
        writer = LedgerWriter(paths.ledger, paths.reserve)
        writer.append([entry.to_json()])
        writer.close()

    return note


def _save(paths: RunPaths) -> None:
    (paths.run_dir / "step-10.pt").write_bytes(b"something")


def _record_a_save(paths: RunPaths) -> None:
    line = {"checkpoint": "/elsewhere/checkpoint-10", "attempt": 1, "wall": 1.0}
    paths.trainings.write_text(json.dumps(line) + "\n")


def _edit(paths: RunPaths) -> None:
    config = paths.run_dir / "config.yaml"
    config.write_text(config.read_text().replace("\ncommand: [", "\ncommand:  [ "))


def _edit_words(paths: RunPaths) -> None:
    config = paths.run_dir / "config.yaml"
    config.write_text(config.read_text().replace("--lrr, '3'", "--lr, '7'"))


def _damage(paths: RunPaths) -> None:
    paths.ledger.write_bytes(
        paths.ledger.read_bytes().replace(b"daemon_started", b"daemon_stirred")
    )


def _forget(paths: RunPaths, *last: str) -> None:
    """Cut the ledger off after the entries of these kinds."""
    lines = paths.ledger.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if any(f'"type":"{one}"'.encode() in line for one in last)]
    paths.ledger.write_bytes(b"".join(kept))


def _show(**fields: object) -> Callable[[RunPaths], object]:
    def write(paths: RunPaths) -> None:
        paths.status.write_text(json.dumps({**json.loads(paths.status.read_bytes()), **fields}))

    return write


def _lose_all_but_the_state(paths: RunPaths) -> None:
    paths.ledger.unlink()
    paths.status.unlink()
    paths.train_log.unlink()


@pytest.mark.parametrize(
    "keep",
    [
        _with(FirstStepEntry(attempt=1, step=1)),
        _with(DescribedEntry(attempt=1)),
        _with(AttemptEndedEntry(attempt=2, failure=Failure.EXCEPTION, duration_s=1.0)),
        _with(AttemptEndedEntry(attempt=2, failure=Failure.CONFIGURATION, duration_s=61.0)),
        _with(CheckpointVerdictEntry(path="/x/step-1.pt", valid=True)),
        _with(UnknownEntry(record={"type": "of_another_version"})),
        _save,
        _record_a_save,
        lambda paths: (paths.pins.mkdir(), (paths.pins / "step-10.pt").touch()),
        lambda paths: write_intent(paths.intent, Intent.STOP),
        lambda paths: write_intent(paths.intent, Intent.HOLD),
        lambda paths: RunLock.acquire(paths),
        _edit,
    ],
    ids=["step", "description", "exception", "minute", "checkpoint", "unknown", "file", "record",
         "pin", "stop", "hold", "lock", "edited"],
)  # fmt: skip
def test_what_is_worth_keeping_keeps_the_name(
    command: Command, paths: RunPaths, keep: Callable[[RunPaths], object]
) -> None:
    """Refused as before, with the lines to type; no file of the run is changed."""
    kept = keep(paths)
    before = (paths.run_dir / "config.yaml").read_bytes(), paths.ledger.read_bytes()
    done = command(*WORDS, "--lr", "3")
    assert done.returncode == 78, done.stdout + done.stderr
    assert "this run has other arguments" in done.stderr
    assert ((paths.run_dir / "config.yaml").read_bytes(), paths.ledger.read_bytes()) == before
    if isinstance(kept, RunLock):
        os.close(kept.fd)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a run that is held, since its first line had a mistyped option."""
    folder = tmp_path_factory.mktemp("held")
    (folder / "train.py").write_text(SCRIPT)
    line = [sys.executable, "-m", "supervisor", *WORDS, "--lrr", "3"]
    done = subprocess.run(
        line, cwd=folder, env=make_environment(folder), capture_output=True, timeout=90, check=False
    )
    assert done.returncode == 1, done.stderr
    return folder


@pytest.mark.parametrize(
    "keep",
    [
        _edit_words,
        lambda paths: remember(paths.submission, "17", None),
        lambda paths: paths.submission.write_text("{"),
        _damage,
        lambda paths: os.truncate(paths.ledger, 40),
        lambda paths: paths.ledger.write_bytes(b""),
        _lose_all_but_the_state,
        lambda paths: _forget(paths, "run_created", "supervisor_started", "daemon_started"),
        _show(step=90000),
        _show(checkpoint={"path": "/x/step-1.pt"}),
        lambda paths: paths.status.write_text("{"),
        lambda paths: (paths.run_dir / "result.pt").write_bytes(b"weights"),
        lambda paths: (paths.run_dir / "out").mkdir(),
        lambda paths: paths.set_aside.mkdir(),
    ],
    ids=["words", "job", "job unreadable", "damaged", "cut", "empty", "state alone", "rolled back",
         "step", "checkpoint", "status damaged", "result", "folder", "set aside"],
)  # fmt: skip
def test_what_is_not_known_to_be_worthless_keeps_the_name(
    held: Path, tmp_path: Path, keep: Callable[[RunPaths], object]
) -> None:
    """A person's edit, a job in the queue, a record that is not whole, a file that is not ours."""
    run_dir = shutil.copytree(held, tmp_path / "copy") / "runs" / "train"
    assert is_untrained(load_config(run_dir / "config.yaml").config)
    keep(RunPaths(run_dir))
    assert not is_untrained(load_config(run_dir / "config.yaml").config)


@pytest.mark.parametrize(
    "change",
    [
        _edit_words,
        _with(FirstStepEntry(attempt=1, step=1)),
        _save,
        lambda paths: remember(paths.submission, "17", None),
        lambda paths: write_intent(paths.intent, Intent.HOLD),
        lambda paths: (paths.run_dir / "config.yaml").write_text("command: ["),
    ],
    ids=["words", "step", "file", "job", "hold", "broken"],
)
def test_what_changes_before_the_lock_is_taken_keeps_the_name(
    held: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[RunPaths], object],
) -> None:
    """It is asked again under the lock: the hold stays, and the words stay."""
    paths = RunPaths(shutil.copytree(held, tmp_path / "copy") / "runs" / "train")
    monkeypatch.chdir(tmp_path / "copy")
    line = TypedLine("run", (), (sys.executable, "train.py", "--lr", "3"))
    run = command_run(line, None)
    assert claim(run, line)
    start = Start(
        paths, run.loaded.config.resolved(Path.cwd()), run.loaded, "none", break_lock=False,
        corrects=run.corrects,
    )  # fmt: skip
    change(paths)
    before = (paths.run_dir / "config.yaml").read_bytes(), paths.ledger.read_bytes()
    lock = take_lock(start)
    with pytest.raises(SupervisorError, match="the run has changed since") as refused:
        _hand_over(start, lock, again=False, quiet=True)
    os.close(lock.fd)
    assert refused.value.code == 75
    assert ((paths.run_dir / "config.yaml").read_bytes(), paths.ledger.read_bytes()) == before


def test_the_holder_of_the_lock_may_write_the_words(
    held: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own lock is not in its way. Until then the file has the old words."""
    paths = RunPaths(shutil.copytree(held, tmp_path / "copy") / "runs" / "train")
    monkeypatch.chdir(tmp_path / "copy")
    line = TypedLine("run", (), (sys.executable, "train.py", "--lr", "3"))
    run = command_run(line, None)
    assert claim(run, line)
    config = run.loaded.config.resolved(Path.cwd())
    start = Start(paths, config, run.loaded, "none", break_lock=False, corrects=run.corrects)
    assert load_config(run.loaded.path) == run.corrects
    lock = take_lock(start)
    refuse_changed(start)
    write_correction(start)
    os.close(lock.fd)
    assert load_config(run.loaded.path) == run.loaded


def test_a_run_that_ended_well_keeps_the_name(command: Command, tmp_path: Path) -> None:
    """No step of it was seen: it may have trained all the same."""
    (tmp_path / "a.py").write_text("print(1)\n")
    line = ["run", "-q", "--", sys.executable, "a.py"]
    assert command(*line, "1").returncode == 0
    done = command(*line, "2")
    assert (done.returncode, "other arguments" in done.stderr) == (78, True)
    assert load_config(tmp_path / "runs" / "a" / "config.yaml").config.command[-1] == "1"


def test_of_two_corrections_at_once_one_runs(paths: RunPaths, tmp_path: Path) -> None:
    """The other is refused, or finds the run as the first has left it."""
    lines = [[sys.executable, "-m", "supervisor", *WORDS, "--lr", rate] for rate in ("5", "6")]
    started = [
        subprocess.Popen(
            line, cwd=tmp_path, env=make_environment(tmp_path), stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        )
        for line in lines
    ]  # fmt: skip
    said = [process.communicate(timeout=90)[1] for process in started]
    assert sorted(process.returncode for process in started) in ([0, 69], [0, 75], [0, 78]), said
    log = paths.train_log.read_text()
    assert log.count("\nlr ") == 1
    rate = load_config(paths.run_dir / "config.yaml").config.command[-1]
    assert f"lr {rate}.0\n" in log


def test_in_a_sweep_each_line_has_a_run_of_its_own(command: Command, paths: RunPaths) -> None:
    """With `--name auto` the held run keeps its name and its words."""
    done = command("run", "-q", "--name", "auto", *WORDS[2:], "--lr", "3")
    assert done.returncode == 0, done.stderr
    assert load_config(paths.run_dir / "config.yaml").config.command[-2] == "--lrr"
    assert (paths.run_dir.parent / "train-lr-no-lrr").is_dir()
