"""Whose a checkpoint is, by the records of saves of runs that lie side by side."""

import json
from pathlib import Path

import pytest

from supervisor.rundir import save_writers
from supervisor.rundir.paths import RunPaths
from supervisor.rundir.save_writers import read_writers, runs_beside

T0, LATER = 1_000_000.0, 1_000_100.0


def record(run_dir: Path, *saves: tuple[Path, float], more: str = "") -> Path:
    """A run directory with a record of saves; `more` is put behind the lines."""
    paths = RunPaths(run_dir)
    paths.state_dir.mkdir(parents=True)
    lines = [json.dumps({"checkpoint": str(path), "changed": when}) for path, when in saves]
    paths.trainings.write_text("\n".join([*lines, more]))
    return run_dir


@pytest.mark.parametrize(
    ("name", "mtime", "is_mine"),
    [
        ("c-10", T0, True),
        ("c-10", LATER, False),
        ("c-20", LATER, False),
        ("c-30", T0, False),
        ("c-10", LATER + 500, False),
    ],
)
def test_two_runs_in_one_directory(tmp_path: Path, name: str, mtime: float, is_mine: bool) -> None:
    """Only what this run's record has, with the time of its files, is this run's."""
    out = tmp_path.resolve() / "out"
    out.mkdir()
    mine = record(tmp_path / "runs" / "a", (out / "c-10", T0), more="{torn")
    other = record(tmp_path / "runs" / "b", (out / "c-10", LATER), (out / "c-20", LATER))
    writers = read_writers(mine)
    assert writers.is_mine(out / name, mtime) is is_mine
    said = writers.other_of(out / name, mtime)
    assert said == (None if is_mine else str(other.resolve()))


def test_one_run_alone(tmp_path: Path) -> None:
    """Nothing is concluded where no other run has saved there: times and memory tell, as ever."""
    out = tmp_path.resolve() / "out"
    mine = record(tmp_path / "runs" / "a", (out / "c-10", T0))
    record(tmp_path / "runs" / "b", (tmp_path.resolve() / "elsewhere" / "c-10", T0))
    for name, mtime in (("c-10", T0), ("c-10", LATER), ("c-20", LATER)):
        assert read_writers(mine).is_mine(out / name, mtime) is None
        assert read_writers(mine).other_of(out / name, mtime) is None


def test_a_mounted_file_server_beside_the_run_is_not_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may not answer, and this run's start would wait for it."""
    mine = record(tmp_path.resolve() / "runs" / "a")
    other = record(tmp_path.resolve() / "runs" / "b")
    assert runs_beside(mine) == [other]
    monkeypatch.setattr(save_writers, "remote_mount_points", lambda: frozenset({other}))
    assert runs_beside(mine) == []
