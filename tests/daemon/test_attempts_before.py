"""What a trainer's experiment tracker gets from the daemon: variables, and the costs so far."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from supervisor.config.model import RunConfig
from supervisor.core.entries.attempt import AttemptEndedEntry, AttemptStartedEntry, Source
from supervisor.core.entries.decision import BeginAgainEntry
from supervisor.core.failures import Failure
from supervisor.core.states import Checkpoint
from supervisor.daemon.act.tracker_environment import wandb_variables
from supervisor.daemon.act.trainer_environment import environment
from supervisor.daemon.run import Run
from supervisor.daemon.tell.attempts_before import tell_attempts_before
from supervisor.daemon.tell.tally import Tally

BOTH = {
    "WANDB_RUN_ID": "id", "WANDB_RESUME": "allow",
    "SUPERVISOR_WANDB": "WANDB_RUN_ID,WANDB_RESUME",
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "added"),
    [
        ({}, BOTH),
        ({"WANDB_MODE": "offline"}, BOTH),
        (
            {"WANDB_RUN_ID": "mine"},
            {"WANDB_RESUME": "allow", "SUPERVISOR_WANDB": "WANDB_RESUME"},
        ),
        ({"WANDB_RESUME": "allow"}, {"WANDB_RUN_ID": "id", "SUPERVISOR_WANDB": "WANDB_RUN_ID"}),
        ({"WANDB_RUN_ID": "mine", "WANDB_RESUME": "allow"}, {}),
        ({"WANDB_RESUME": "never"}, {}),
        ({"WANDB_RESUME": "auto"}, {}),
        ({"WANDB_RESUME": "must"}, {}),
        ({"WANDB_FORK_FROM": "old?_step=3"}, {}),
        ({"WANDB_RESUME_FROM": "old?_step=3"}, {}),
        ({"WANDB_SWEEP_ID": "sweep", "WANDB_RUN_ID": "agents"}, {}),
    ],
)
def test_wandbs_variables(given: dict[str, str], added: dict[str, str]) -> None:
    """They are added where they fit what the user has set, and listed."""
    assert wandb_variables(given, "id") == added


OUTER = {**BOTH, "WANDB_RUN_ID": "outer", "SUPERVISOR_RUN_ID": "outer"}


@pytest.mark.parametrize(
    ("given", "added", "taken_out"),
    [
        ({}, BOTH, set()),
        ({"WANDB_RUN_ID": "mine"}, BOTH | {"WANDB_RUN_ID": "mine"}, set()),
        ({"WANDB_RESUME": "must"}, {"WANDB_RESUME": "must"}, {"WANDB_RUN_ID"}),
        ({"WANDB_FORK_FROM": "old?_step=3"}, {}, {"WANDB_RUN_ID", "WANDB_RESUME"}),
    ],
)
def test_a_run_inside_a_run(
    given: dict[str, str], added: dict[str, str], taken_out: set[str]
) -> None:
    """The outer supervisor's values are not the user's: the inner run has its own, or none."""
    inherited = {**OUTER, **given}
    overlay, unset = environment(
        RunConfig(command=("python", "x.py")), inherited, run_dir=Path("/r"), run_id="id",
        attempt=1, heartbeat_dir=Path("/h"), snapshot_dir=None, checkpoint=None,
    )  # fmt: skip
    after = {name: value for name, value in (inherited | overlay).items() if name not in unset}
    names = ("WANDB_RUN_ID", "WANDB_RESUME")
    assert {name: after[name] for name in names if name in after} == {
        name: value for name, value in added.items() if name in names
    }
    assert taken_out <= set(unset)
    listed = {name for name in names if name in added and name not in given}
    assert set(filter(None, after.get("SUPERVISOR_WANDB", "").split(","))) == listed


def started(attempt: int, step: int | None, **more: Any) -> AttemptStartedEntry:
    """The start of an attempt, from a checkpoint of this step or from nothing."""
    source = None if step is None else Source(path="/c", step=step)
    return AttemptStartedEntry(attempt=attempt, checkpoint=source, **more)


def ended(attempt: int, step: int | None, failure: Failure | None = None) -> AttemptEndedEntry:
    """The end of an attempt at this step."""
    return AttemptEndedEntry(attempt=attempt, step=step, failure=failure)


@pytest.mark.parametrize(
    ("entries", "begins_at", "lost"),
    [
        ((), 0, None),
        ((started(1, None), ended(1, 37)), 30, 7),
        ((started(1, None), ended(1, 37)), 0, 37),
        ((started(1, None), ended(1, 37)), 37, 0),
        ((started(1, None), ended(1, 37), started(2, 30), ended(2, 33)), 30, 10),
        ((started(1, None), ended(1, 37), started(2, 30), ended(2, None)), 30, 7),
        ((started(1, None), ended(1, None)), 30, None),
        ((started(1, None), ended(1, 37)), None, None),
        ((started(1, None), ended(1, 20)), 30, 0),
        ((started(1, None), ended(1, 37), started(2, None, resumes_by="trainer")), 30, None),
        ((started(1, None), ended(1, 37), BeginAgainEntry()), 0, None),
    ],
)
def test_lost_steps_add_up(entries: tuple[Any, ...], begins_at: int | None, lost: Any) -> None:
    """Steps that were seen and are made again; none that are not known."""
    tally = Tally()
    for entry in entries:
        tally.note(entry)
    assert tally.lost_steps(begins_at) == lost


def run_of(tally: Tally, by: str = "supervisor") -> Run:
    """As much of a run as is asked."""
    config = SimpleNamespace(resume=SimpleNamespace(by=by))
    warnings: list[str] = []
    log = SimpleNamespace(warning=lambda name, **more: warnings.append(name))
    journal = SimpleNamespace(log=log, warnings=warnings)
    return cast("Run", SimpleNamespace(config=config, tally=tally, journal=journal))


def test_the_costs_are_written_before_the_launch(tmp_path: Path) -> None:
    """Of the first attempt zero; later what is known; a directory that refuses costs nothing."""
    tally, file = Tally(), tmp_path / "attempts-before.json"
    tell_attempts_before(run_of(tally), 1, tmp_path, None)
    assert json.loads(file.read_text()) == {"attempt": 1, "lost_steps": 0, "last_failure": None}
    for entry in (started(1, None), ended(1, 37, Failure.HANG)):
        tally.note(entry)
    tell_attempts_before(run_of(tally), 2, tmp_path, Checkpoint("/c", 30))
    said = {"attempt": 2, "lost_steps": 7, "last_failure": "hang"}
    assert json.loads(file.read_text()) == said
    tell_attempts_before(run_of(tally, by="trainer"), 2, tmp_path, None)
    assert json.loads(file.read_text()) == {**said, "lost_steps": None}
    run = run_of(tally)
    tell_attempts_before(run, 2, tmp_path / "gone", None)
    assert cast("Any", run.journal).warnings == ["attempts_before_not_told"]
