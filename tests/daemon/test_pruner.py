"""Checkpoints beyond `keep` are removed once each, also those surveyed during a removal."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from supervisor.checkpoint.commit import CheckpointWriter
from supervisor.core.entries.entry import Entry
from supervisor.core.entries.saves import CheckpointRemovedEntry
from supervisor.core.policy import Policy
from supervisor.core.states import State
from supervisor.core.vocabulary import RunState
from supervisor.daemon.act.periodic import PeriodicWork
from supervisor.daemon.act.pruner import Pruner
from supervisor.survey.answer import Survey
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey


class Scene:
    """A checkpoint directory and a pruner that keeps one, with what it recorded and forgot."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "out"
        self.folder.mkdir()
        self.recorded: list[str] = []
        self.forgotten: list[str] = []
        self.run: Any = SimpleNamespace(
            config=SimpleNamespace(checkpoints=SimpleNamespace(keep=1, keep_set=False)),
            runtime=SimpleNamespace(root=folder),
            surveyor=SimpleNamespace(forget=self.forgotten.append),
            journal=SimpleNamespace(record=self.record),
            paths=SimpleNamespace(pins=folder / "pins.json", set_aside=folder / "set-aside"),
            directory_claim=SimpleNamespace(refusal=lambda _directory: None),
        )
        self.pruner = Pruner(self.run)

    def record(self, *entries: Entry) -> None:
        """Note removed checkpoints, in the ledger's place."""
        removed = [entry for entry in entries if isinstance(entry, CheckpointRemovedEntry)]
        self.recorded += [Path(entry.path).name for entry in removed]

    def save(self, *steps: int) -> Survey:
        """Save checkpoints of this run; a survey of all."""
        for step in steps:
            name = f"checkpoint-{step}"
            with CheckpointWriter(self.folder, name, step=step, epoch=0, run_id="r") as writer:
                state = {"global_step": step, "current_epoch": 0, "format": 1}
                (writer.path / "training_state.json").write_text(json.dumps(state))
                writer.commit()
        return survey(SurveyRequest(self.folder, run_id="r"))

    def stand_still(self) -> int:
        """Freeze the removal under way; its pid."""
        assert self.pruner._child is not None
        os.kill(self.pruner._child.pid, signal.SIGSTOP)
        return self.pruner._child.pid

    def end(self, found: Survey | None, run: RunState) -> None:
        """Prune for the last time."""
        keeper: Any = SimpleNamespace(
            _pruner=self.pruner,
            _unpruned=found,
            _run=self.run,
        )
        PeriodicWork.prune_last(keeper, replace(State(Policy()), run=run))

    @property
    def left(self) -> list[str]:
        """The names of the remaining checkpoints."""
        return sorted(path.name for path in self.folder.glob("checkpoint-*"))


def test_a_removal_under_way_keeps_no_more_than_was_asked_for(tmp_path: Path) -> None:
    """The run ends during a slow removal: later checkpoints are removed as well, once each."""
    scene = Scene(tmp_path)
    scene.pruner.prune(scene.save(1, 2, 3), frozenset())
    removal = scene.stand_still()
    found = scene.save(4, 5)
    scene.pruner.prune(found, frozenset())
    assert scene.recorded == ["checkpoint-1", "checkpoint-2"], "one removal at a time"
    os.kill(removal, signal.SIGCONT)
    scene.end(found, RunState.COMPLETED)
    assert scene.left == ["checkpoint-5"]
    assert sorted(scene.recorded) == [f"checkpoint-{step}" for step in (1, 2, 3, 4)]
    assert [Path(path).name for path in scene.forgotten] == scene.recorded


@pytest.mark.parametrize("run", [RunState.HELD, RunState.PREEMPTED])
def test_a_hold_ends_a_removal_and_begins_none(tmp_path: Path, run: RunState) -> None:
    """After a hold a person may want to go back further than `keep`; a preempted run will not."""
    scene = Scene(tmp_path)
    scene.pruner.prune(scene.save(1, 2), frozenset())
    scene.end(scene.save(3), run)
    expected = {RunState.HELD: ["checkpoint-2", "checkpoint-3"]}
    assert scene.left == expected.get(run, ["checkpoint-3"])
