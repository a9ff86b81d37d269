"""The content of both tiers before a point is tried: made once, copied for each point."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

from supervisor.memory.persist import persist
from supervisor.memory.seal import SealWriter, Snapshot
from supervisor.memory.slots import SnapshotPaths, Whole, read_whole
from tests.chaos.place import RUN, Place
from tests.chaos.trainee import Trainee
from tests.memory.conftest import write_in_place

BASE, FIRST, SECOND = 6, 8, 9
"""The steps of the checkpoint on the disk and of the two snapshots after it."""


class Templates(NamedTuple):
    """`plain`: a checkpoint on the disk, and two later snapshots in memory.

    `again`: an earlier attempt has also saved the first of those steps.
    """

    plain: Path
    again: Path


def make_templates(place: Place, folder: Path) -> Templates:
    """Train, and keep the content of both tiers on the way."""
    made = Templates(folder / "plain", folder / "again")
    place.clear()
    trainee = Trainee(padding=place.padding)
    trainee.train(BASE)
    persist(_keep(place, trainee, 0))
    place.clear_memory()
    trainee.train(FIRST)
    old = persist(_keep(place, trainee, 0, attempt=1))
    place.clear_memory()
    place.keep(made.again)
    shutil.rmtree(old.path)
    _keep(place, trainee, 0)
    trainee.train(SECOND)
    _keep(place, trainee, 1)
    place.keep(made.plain)
    return made


def _keep(place: Place, trainee: Trainee, index: int, attempt: int = 2) -> Whole:
    slot = SnapshotPaths(place.memory).slot(index)
    step = trainee.step
    folder = slot.folder / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    ranges = {}
    for name, source in trainee.sources.items():
        state = source.state_dict() if hasattr(source, "state_dict") else source()
        ranges[name] = write_in_place(folder / name, state)
    state = {"global_step": step, "current_epoch": 0, "format": 1}
    (folder / "training_state.json").write_text(json.dumps(state))
    weights = [one for one in ranges["model.pt"] if "float" in str(one[0])]
    slot.weights.write_text(json.dumps({"files": {"model.pt": weights}}))
    snapshot = Snapshot(
        name=folder.name,
        directory=str(place.out),
        step=step,
        epoch=0,
        kind="periodic",
        run_id=RUN,
        attempt=attempt,
        resumed_from=None,
        world_size=1,
        torch_version=None,
        is_wanted=True,
        before=(),
        bytes=sum(path.stat().st_size for path in folder.iterdir()),
        written=1.8e9 + 100 * attempt + step,
    )
    seal = SealWriter(slot.seal)
    seal.begin()
    seal.close_over(step, snapshot)
    seal.close()
    return read_whole(place.memory)[0]
