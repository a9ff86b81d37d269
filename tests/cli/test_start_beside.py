"""Two starts at once whose trainers would save into one directory: only one of them runs."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from supervisor.cli.start.command_run import command_run
from supervisor.cli.start.handover import Start
from supervisor.cli.start.start_lock import StartLock
from supervisor.cli.start.typed_line import TypedLine
from supervisor.cli.start.unnamed_output import start_alone, starting_beside
from supervisor.config.model import RunConfig
from supervisor.core.status import Status
from supervisor.core.vocabulary import RunState
from supervisor.rundir.lock import RunLock, is_held
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.status_file import write_status
from tests.cli.conftest import Command, make_environment
from tests.cli.test_directory_owner import NAMES
from tests.launcher.conftest import wait_until

# It looks like a script of HF's Trainer, and names `out` as soon as it may.
SLOW = f"""
import time, pathlib
if False:
    from transformers import Trainer
    Trainer()
while not pathlib.Path("go").exists():
    time.sleep(0.01)
if pathlib.Path("fail").exists():
    raise SystemExit(78)
{NAMES}
while pathlib.Path("train_on").exists():
    time.sleep(0.01)
"""
AUTO = ["run", "--detach", "--name", "auto", "--", sys.executable, "train.py"]


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """A command line that runs beside the test."""
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "supervisor", *words], cwd=folder,
        env=make_environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture
def first(command: Command, tmp_path: Path) -> RunPaths:
    """A run in the background that has not named its directory."""
    (tmp_path / "train.py").write_text(SLOW)
    (tmp_path / "train_on").touch()
    done = command(*AUTO, "--lr", "1")
    assert done.returncode == 0, done.stderr
    return RunPaths(tmp_path / "runs" / "train")


def end(first: RunPaths, folder: Path) -> None:
    """Let the first run end."""
    (folder / "go").touch()
    (folder / "train_on").unlink()
    wait_until(lambda: not is_held(first))


@pytest.mark.usefixtures("first")
def test_a_start_waits_and_is_refused_once_the_directory_is_named(
    first: RunPaths, tmp_path: Path
) -> None:
    """As if it had been typed later: it names both runs, and leaves no file."""
    second = start(tmp_path, *AUTO, "--lr", "2")
    assert second.stdout is not None
    said = second.stdout.readline()
    assert "waits up to 30 s until the run 'train' has named its output" in said
    (tmp_path / "go").touch()
    _, said = second.communicate(timeout=60)
    assert second.returncode == 78, said
    assert f"it would save into {tmp_path / 'out'}, as the run 'train'" in said
    assert [one.name for one in (tmp_path / "runs").iterdir() if one.is_dir()] == ["train"]
    end(first, tmp_path)


def test_a_start_runs_once_the_other_has_failed_before_it_named_any(
    command: Command, first: RunPaths, tmp_path: Path
) -> None:
    """Nothing was saved there."""
    second = start(tmp_path, *AUTO, "--lr", "2")
    assert second.stdout is not None
    second.stdout.readline()
    (tmp_path / "fail").touch()
    (tmp_path / "go").touch()
    wait_until(lambda: not is_held(first))
    _, said = second.communicate(timeout=60)
    assert second.returncode == 0, said
    assert (tmp_path / "runs" / "train-lr2" / "config.yaml").exists()
    wait_until(lambda: not is_held(RunPaths(tmp_path / "runs" / "train-lr2")))


@pytest.mark.parametrize(
    "more",
    [["--lr", "1", "--output_dir", "b"], ["--lr", "1", "--run_name", "b"], ["b"]],
)
def test_words_that_may_name_another_directory_are_not_waited_for(
    command: Command, first: RunPaths, tmp_path: Path, more: list[str]
) -> None:
    """The second run begins at once, beside the first."""
    done = command(*AUTO[:2], "--name", "other", *AUTO[4:], *more)
    assert (done.returncode, "waits" in done.stdout) == (0, False), done.stderr
    end(first, tmp_path)
    wait_until(lambda: not is_held(RunPaths(tmp_path / "runs" / "other")))


def test_a_trainer_that_names_no_directory_is_not_waited_for(
    command: Command, tmp_path: Path
) -> None:
    """A loop of its own can share a directory as well, but nothing would ever tell."""
    (tmp_path / "train.py").write_text(SLOW.replace("Trainer", "Model"))
    for rate in ("1", "2"):
        done = command(*AUTO, "--lr", rate)
        assert (done.returncode, "waits" in done.stdout) == (0, False), done.stderr
    (tmp_path / "go").touch()
    for name in ("train", "train-lr2"):
        wait_until(lambda name=name: not is_held(RunPaths(tmp_path / "runs" / name)))


def test_a_stop_that_comes_while_a_start_waits(first: RunPaths, tmp_path: Path) -> None:
    """It ends with 75, as before its launch, and has started nothing."""
    second = start(tmp_path, *AUTO, "--lr", "2")
    assert second.stdout is not None
    second.stdout.readline()
    second.terminate()
    _, said = second.communicate(timeout=60)
    assert (second.returncode, "a stop was asked for" in said) == (75, True), said
    assert not (tmp_path / "runs" / "train-lr2").exists()
    end(first, tmp_path)


def test_what_stays_unknown_refuses_no_start(
    first: RunPaths,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The first run prepares its data for longer than a start has patience for."""
    monkeypatch.chdir(tmp_path)
    line = TypedLine("run", (), (*AUTO[5:], "--lr", "2"))
    run = command_run(line, "auto")
    config = run.loaded.config.resolved(tmp_path)
    start = Start(RunPaths(Path(str(config.run_dir))), config, run.loaded, "none", False)
    lock = start_alone(start, line, quiet=False, patience_s=0.0)
    assert lock.fd is not None
    lock.release()
    said = capsys.readouterr().out
    assert "the run 'train' has not named its output directory after 0 s" in said.replace("\n", " ")
    lock = start_alone(start, line, quiet=True, patience_s=0.0)
    lock.release()
    assert capsys.readouterr().out == ""
    end(first, tmp_path)


@pytest.mark.parametrize(
    ("state", "is_waited_for"),
    [(None, True), ("launching", True), ("running", True), ("backoff", False), ("waiting", False)],
)
def test_a_run_that_pauses_is_not_waited_for(
    tmp_path: Path, state: str | None, is_waited_for: bool
) -> None:
    """Its next attempt may be hours away."""
    (tmp_path / "train.py").write_text(SLOW)
    paths = RunPaths(tmp_path / "runs" / "train")
    paths.state_dir.mkdir(parents=True)
    config = RunConfig(command=(*AUTO[5:], "--lr", "1"), name="train", cwd=str(tmp_path))
    paths.config.write_text(config.resolved(tmp_path).to_json())
    if state is not None:
        write_status(paths.status, Status(name="train", state=RunState(state)))
    lock = RunLock.acquire(paths)
    line = TypedLine("run", (), (*AUTO[5:], "--lr", "2"))
    other = starting_beside(tmp_path / "runs" / "train-lr2", line)
    os.close(lock.fd)
    assert (other is not None) == is_waited_for


def test_two_starts_at_the_same_moment(tmp_path: Path) -> None:
    """Neither is on record when the other looks; still only one trains."""
    (tmp_path / "train.py").write_text(SLOW)
    (tmp_path / "train_on").touch()
    (tmp_path / "go").touch()
    both = [start(tmp_path, *AUTO, "--lr", rate) for rate in ("1", "2")]
    said = [one.communicate(timeout=60)[1] for one in both]
    assert sorted(one.returncode for one in both) == [0, 78], said
    assert [one.name for one in (tmp_path / "runs").iterdir() if one.is_dir()] == ["train"]
    end(RunPaths(tmp_path / "runs" / "train"), tmp_path)


def test_the_lock_of_a_start(tmp_path: Path) -> None:
    """A second one goes on without it after its patience, and has it once the first is released."""
    lock = StartLock.acquire(tmp_path)
    assert StartLock.acquire(tmp_path, 0.0).fd is None
    lock.release()
    lock = StartLock.acquire(tmp_path, 0.0)
    other = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)
    lock.release()
    assert StartLock.acquire(tmp_path / "none").fd is None


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_pending_stop_ends_the_wait_for_the_lock(tmp_path: Path, stop: signal.Signals) -> None:
    """Its patience would be longer than this test may run."""
    lock = StartLock.acquire(tmp_path)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {stop})
    try:
        signal.pthread_kill(threading.get_ident(), stop)
        assert StartLock.acquire(tmp_path, 3600.0).fd is None
        assert signal.sigtimedwait({stop}, 0) is not None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        lock.release()


def test_a_start_under_the_flock_of_its_directory(tmp_path: Path) -> None:
    """As cron and make have it: the lock is theirs for as long as the run lives."""
    (tmp_path / "train.py").write_text("print('trained')\n")
    line = ["flock", ".", sys.executable, "-m", "supervisor"]
    line += ["run", "--plain", "--", sys.executable, "train.py"]
    done = subprocess.run(
        line, cwd=tmp_path, env=make_environment(tmp_path), capture_output=True, text=True,
        timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "trained" in RunPaths(tmp_path / "runs" / "train").train_log.read_text()
