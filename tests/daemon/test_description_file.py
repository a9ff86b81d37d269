"""A trainer's description of itself: read cheaply, and whatever stands in the file."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config.model import RunConfig
from supervisor.core.trainer_description import TrainerDescription, TrainingSaid
from supervisor.daemon.look.description_event import described_event
from supervisor.daemon.look.description_file import NAME, DescriptionFile, read_description
from supervisor.daemon.look.known_total import is_at_last_step

WHOLE: dict[str, Any] = {
    "attempt": 2,
    "pid": 7,
    "framework": "huggingface 5.24",
    "checkpoint_dir": "/data/out/",
    "total_steps": 1000,
    "best": "/data/out/checkpoint-50",
    "training": {"directory": "/data/out", "ordinal": 2, "began": 3, "ended": True, "step": 0},
    "resumed_from": "/data/out/checkpoint-40",
    "told": ["7 batches are repeated"],
    "of a later version": {"a": [1]},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(), one, max_size=3),
    max_leaves=8,
)


def write(folder: Path, said: object) -> None:
    """Write the file as the worker does: whole, by rename."""
    staged = folder / "staged"
    staged.write_text(said if isinstance(said, str) else json.dumps(said))
    staged.rename(folder / NAME)


def test_all_that_it_says(tmp_path: Path) -> None:
    """Each key is read, and what is not known here is passed over."""
    write(tmp_path, WHOLE)
    assert DescriptionFile(tmp_path, 2).look() == TrainerDescription(
        framework="huggingface 5.24",
        directory="/data/out",
        total_steps=1000,
        best="/data/out/checkpoint-50",
        training=TrainingSaid("/data/out", ordinal=2, began=3, has_ended=True, step=0),
        resumed_from="/data/out/checkpoint-40",
        told=("7 batches are repeated",),
    )


@pytest.mark.parametrize(
    "bad",
    ["", "{", '{"attempt": 2, "framework": "half', "[1]", "null", "[" * 100_000, {"attempt": 1},
     {"attempt": "2"}],
    ids=lambda bad: str(bad)[:20],
)  # fmt: skip
def test_what_cannot_be_read_changes_nothing(tmp_path: Path, bad: object) -> None:
    """A torn file, another attempt's, or no object: the description before stays."""
    file = DescriptionFile(tmp_path, 2)
    assert file.look() is None
    write(tmp_path, bad)
    assert file.look() is None
    write(tmp_path, WHOLE)
    known = file.look()
    assert known is not None
    write(tmp_path, bad)
    assert file.look() == known
    (tmp_path / NAME).unlink()
    assert file.look() == known


def test_a_huge_file_and_a_pipe_are_not_read(tmp_path: Path) -> None:
    """Bounded, and it never waits."""
    file = DescriptionFile(tmp_path, 2)
    write(tmp_path, {**WHOLE, "told": ["x" * 300_000]})
    assert file.look() is None
    (tmp_path / NAME).unlink()
    os.mkfifo(tmp_path / NAME)
    assert file.look() is None


def test_an_unchanged_file_is_not_opened(tmp_path: Path) -> None:
    """A look at a file that has not changed is one `stat`."""
    file = DescriptionFile(tmp_path, 2)
    write(tmp_path, WHOLE)
    known = file.look()
    at = (tmp_path / NAME).stat()
    with (tmp_path / NAME).open("r+b") as inside:
        inside.write(b"}")
    os.utime(tmp_path / NAME, ns=(at.st_atime_ns, at.st_mtime_ns))
    assert file.look() is known


@given(st.dictionaries(st.sampled_from(sorted(WHOLE)), JSON))
def test_any_values(said: dict[str, Any]) -> None:
    """Values of other types count as not said; what is taken over is sane."""
    found = read_description(said)
    for path in (found.directory, found.best, found.resumed_from):
        assert path is None or (path.startswith("/") and len(path) > 1 and "\0" not in path)
    assert found.total_steps is None or found.total_steps > 0
    assert all(one.isprintable() and one.strip() for one in found.told)


@pytest.mark.parametrize(
    "path", ["out", "", "/", "//", "/a/..", "/a\0b", "/a\nb", "/" + "x" * 5000, 3, None]
)
def test_no_directory(path: object) -> None:
    """A relative path, the root, and what no file can be called are not looked into."""
    assert read_description({"checkpoint_dir": path}).directory is None


def test_sentences_are_bounded() -> None:
    """Fifty of 500 characters each, on one line."""
    found = read_description({"told": ["a\nb\x1b[31m", "", 3, "x" * 600, *["more"] * 60]})
    assert found.told[0] == "a b [31m"
    assert len(found.told[1]) == 500
    assert len(found.told) <= 50


def config(tmp_path: Path, directory: str | None) -> RunConfig:
    """A resolved configuration with this checkpoint directory."""
    checkpoints = {} if directory is None else {"directory": directory}
    raw = {"command": ["python"], "checkpoints": checkpoints, "run_dir": str(tmp_path / "run")}
    return RunConfig.model_validate(raw).resolved(tmp_path)


@pytest.mark.parametrize(
    ("said", "every", "seconds"),
    [
        ({"save_every": 500, "save_every_s": 60}, 500, 60.0),
        ({"save_every": 0, "save_every_s": 1.5}, 0, 1.5),
        ({"save_every": False, "save_every_s": True}, None, None),
        ({"save_every": -3, "save_every_s": 0}, None, None),
        ({"save_every": 1.5, "save_every_s": float("nan")}, None, None),
        ({"save_every": 10**30, "save_every_s": float("inf")}, None, None),
        ({}, None, None),
    ],
)
def test_how_often_it_saves(said: dict[str, Any], every: int | None, seconds: float | None) -> None:
    """0 steps means never; what is no number of steps or seconds is not said."""
    found = read_description({**said, "not_restored": ["a\nb", 3, "c"], "stop": "saves\n"})
    assert (found.save_every, found.save_every_s) == (every, seconds)
    assert (found.not_restored, found.stop) == (("a b", "c"), "saves")


def test_paths_below_the_run_directory_are_relative(tmp_path: Path) -> None:
    """The run directory may be moved, and its checkpoints with it."""
    run_dir = tmp_path / "run"
    said = TrainerDescription(directory=str(run_dir / "out"), best=str(run_dir / "out" / "b"))
    event = described_event(1, said, config(tmp_path, None), run_dir)
    assert (event.description.directory, event.description.best) == ("out", "out/b")
    assert event.instead_of is None


def test_a_configured_directory_is_compared_by_where_it_leads(tmp_path: Path) -> None:
    """A link to the directory is the same; another directory is told with the configured one."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    said = TrainerDescription(directory=str(tmp_path / "real"))
    same = described_event(1, said, config(tmp_path, "link"), tmp_path / "run")
    assert same.instead_of is None
    other = described_event(1, said, config(tmp_path, "ckpt"), tmp_path / "run")
    assert other.instead_of == str(tmp_path / "ckpt")
    # The run directory is the default: nobody has configured a directory then.
    default = described_event(1, said, config(tmp_path, "run"), tmp_path / "run")
    assert default.instead_of is None


@pytest.mark.parametrize(
    ("said", "step", "expected"),
    [
        (None, 5, False),
        (TrainerDescription(total_steps=10), 9, False),
        (TrainerDescription(total_steps=10), 10, True),
        (TrainerDescription(total_steps=10), None, False),
        (TrainerDescription(training=TrainingSaid(has_ended=True)), 3, True),
    ],
)
def test_when_no_further_step_is_expected(
    said: TrainerDescription | None, step: int | None, expected: bool
) -> None:
    """At its total, or once it has ended by itself: then it may save and test for long."""
    assert is_at_last_step(said, step) is expected
