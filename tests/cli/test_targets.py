"""Which run a command takes if its target is short or missing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from supervisor.cli import registry, target
from supervisor.errors import SupervisorError
from supervisor.rundir.paths import RunPaths

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeRun


def make_run(run_dir: Path) -> Path:
    """Make a run directory."""
    RunPaths(run_dir).state_dir.mkdir(parents=True)
    return run_dir


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory, and a register without other runs of this user."""
    monkeypatch.chdir(tmp_path)
    places = (tmp_path / "register" / "runs",)
    monkeypatch.setattr(registry, "registry_directories", lambda: places)
    return tmp_path


@pytest.mark.parametrize("place", [".", "outputs", "runs/a"])
def test_the_only_run_here_is_meant(here: Path, place: str) -> None:
    """The run is the directory itself, one below it, or one in runs/."""
    run_dir = make_run(here / place)
    assert target.find_run(None) == run_dir


def test_several_runs_are_listed(here: Path) -> None:
    """With several runs the error names them all."""
    make_run(here / "runs" / "a")
    make_run(here / "runs" / "b")
    with pytest.raises(SupervisorError) as caught:
        target.find_run(None)
    assert caught.value.code == 2
    assert "runs/a\n  runs/b" in str(caught.value.hint)


def test_a_link_to_a_run_is_no_second_one(here: Path) -> None:
    """`latest -> run7` beside run7 is not a second run."""
    run_dir = make_run(here / "run7")
    (here / "latest").symlink_to("run7")
    assert target.find_run(None) == run_dir


def test_names_can_be_typed_as_they_are_listed(here: Path) -> None:
    """A path with a blank is quoted."""
    make_run(here / "runs" / "a")
    make_run(here / "runs" / "b c")
    with pytest.raises(SupervisorError) as caught:
        target.find_run(None)
    assert "'runs/b c'" in str(caught.value.hint)


def test_no_run_at_all_says_what_to_do(here: Path) -> None:
    """The hint names `init`."""
    with pytest.raises(SupervisorError, match="no run") as caught:
        target.find_run(None)
    assert "supervisor init" in str(caught.value.hint)


def test_the_only_live_run_is_meant_elsewhere(here: Path, fake_run: FakeRun) -> None:
    """A live run is found from any directory; dead ones are removed from the register."""
    other = here / "other"
    other.mkdir()
    os.chdir(other)
    dead = make_run(here / "dead")
    registry.register(dead)
    registry.register(fake_run.run_dir)
    fake_run.hold_lock()
    assert target.find_run(None) == fake_run.run_dir
    assert len(list((here / "register" / "runs").iterdir())) == 1


def test_a_register_of_somebody_else_is_not_read(here: Path, fake_run: FakeRun) -> None:
    """Any user may write to /dev/shm: a register that others may write to is not used."""
    folder = here / "register" / "runs"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    registry.register(fake_run.run_dir)
    assert list(folder.iterdir()) == []
    (folder / "trap").symlink_to(fake_run.run_dir)
    fake_run.hold_lock()
    assert registry.live_runs() == []


def test_names_and_configurations_are_targets(here: Path) -> None:
    """A run's name, its directory, its .supervisor, and its YAML file all name it."""
    run_dir = make_run(here / "runs" / "gpt")
    (here / "gpt.yaml").write_text("command: [a]\n")
    for word in ("gpt", "runs/gpt", "runs/gpt/.supervisor", "gpt.yaml"):
        assert target.find_run(word) == run_dir


@pytest.mark.parametrize("word", ["nowhere", "runs", "new.yaml"])
def test_what_is_no_run_is_a_usage_error(command: Command, tmp_path: Path, word: str) -> None:
    """Exit 2 with an error on stderr."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "new.yaml").write_text("command: [a]\n")
    done = command("status", word)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stdout == ""
