"""The two tiers of one small run: set up anew for each point, and judged after it.

The judge is the real survey. The newest checkpoint that it finds must be of an allowed step, and a
run resumed from it must end in the same bits.
"""

import os
import shutil
from collections.abc import Collection
from pathlib import Path
from unittest.mock import patch

from supervisor.checkpoint.commit import clean_staging
from supervisor.checkpoint.records import CheckpointEntry
from supervisor.memory.seal import SealWriter, read_seal
from supervisor.memory.slots import SnapshotPaths, make_root
from supervisor.survey.answer import Survey
from supervisor.survey.request import SurveyRequest
from supervisor.survey.survey import survey
from supervisor.torch import Checkpointer
from tests.chaos.trainee import STEPS, Trainee, resumed, uninterrupted

RUN = "run"


def environment(memory: Path, attempt: int) -> dict[str, str]:
    """The environment variables that a supervisor gives a trainer."""
    return {
        "SUPERVISOR_RUN_ID": RUN,
        "SUPERVISOR_ATTEMPT": str(attempt),
        "SUPERVISOR_SNAPSHOT_DIR": str(memory),
    }


class Place:
    """A checkpoint directory (`out`) and a snapshot directory on a tmpfs (`memory`)."""

    def __init__(self, out: Path, memory: Path, padding: int = 0) -> None:
        self.out = out
        self.memory = memory
        self.padding = padding

    def clear(self) -> None:
        """Empty both directories, except for the memory's bell."""
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir(parents=True)
        self.clear_memory()

    def clear_memory(self) -> None:
        """Empty the memory, as a power cut does."""
        shutil.rmtree(self.memory, ignore_errors=True)
        make_root(self.memory)

    @property
    def has_bell(self) -> bool:
        """Whether the snapshot directory exists for a persister."""
        return SnapshotPaths(self.memory).wake.exists()

    def keep(self, template: Path) -> None:
        """Copy what is in both directories into a template on the same tmpfs."""
        template.mkdir()
        shutil.copytree(self.out, template / "out")
        for slot in SnapshotPaths(self.memory).slots:
            if slot.folder.is_dir():
                shutil.copytree(slot.folder, template / slot.folder.name)

    def put_disk(self, template: Path) -> None:
        """Put the checkpoints of a template onto the disk."""
        shutil.copytree(template / "out", self.out, dirs_exist_ok=True)

    def put_slot(self, template: Path, index: int) -> None:
        """Put one slot of a template into memory as a trainer does: its seal comes last."""
        source, slot = template / f"slot-{index}", SnapshotPaths(self.memory).slot(index)
        shutil.copytree(source, slot.folder, ignore=shutil.ignore_patterns("seal"))
        seal = read_seal(source / "seal")
        assert seal.snapshot is not None
        writer = SealWriter(slot.seal)
        writer.begin()
        writer.close_over(seal.sequence, seal.snapshot)
        writer.close()

    def look(self, *, with_memory: bool) -> Survey:
        """The survey of a supervisor that starts after all processes are dead."""
        snapshots = self.memory if with_memory else None
        return survey(SurveyRequest(self.out, run_id=RUN, quiet=True, snapshots=snapshots))

    def judge(self, newest: Collection[int | None], durable: Collection[int | None]) -> str | None:
        """What is wrong; None if nothing is.

        `newest`: steps that may be the newest of both tiers. `durable`: the same for the disk
        alone, as after a power cut. None stands for no checkpoint at all.
        """
        for with_memory, allowed in ((True, newest), (False, durable)):
            seen = self.look(with_memory=with_memory)
            where = "both tiers" if with_memory else "the disk"
            torn = [one.path.name for one in seen.entries if _is_torn(one)]
            if torn:
                return f"{torn} are torn"
            found = seen.newest_valid
            step = None if found is None else found.step
            if step not in allowed:
                return f"the newest of {where} is {step}, not of {sorted(map(str, allowed))}"
            if resumed(found and found.path, self.padding) != uninterrupted(self.padding):
                return f"from {found and found.path} on the weights differ"
        return None

    def judge_next_attempt(self) -> str | None:
        """What is wrong with a real next attempt, which writes into the present directories."""
        found = self.look(with_memory=True).newest_valid
        trainee = Trainee(padding=self.padding)
        if found is not None:
            trainee.restore(found.path)
        with (
            patch.dict(os.environ, environment(self.memory, attempt=3)),
            Checkpointer(trainee.sources, directory=self.out, snapshot_steps=1) as keep,
        ):
            while trainee.step < STEPS:
                trainee.train(trainee.step + 1)
                taken = (
                    keep.save(trainee.step)
                    if trainee.step == STEPS
                    else keep.snapshot(trainee.step)
                )
        if not taken.ok:
            return f"the next attempt could not save: {taken.reason}"
        if trainee.digest() != uninterrupted(self.padding):
            return "the next attempt ends with other weights"
        last = self.look(with_memory=True).newest_valid
        if last is None or last.step != STEPS:
            return f"after the next attempt the newest is {last and last.step}"
        if resumed(last.path, self.padding) != uninterrupted(self.padding):
            return "what the next attempt saved is not what it had"
        return None

    def staged(self) -> list[str]:
        """The names of staging directories."""
        return sorted(path.name for path in self.out.glob(".staging-*"))

    def judge_rest(self) -> str | None:
        """What a crash left and nothing cleans away; None if there is nothing."""
        clean_staging(self.out, quiet=True)
        stray = [
            name for name in os.listdir(self.out) if name.startswith(".") and name != ".set-aside"
        ]
        return f"{stray} cannot be cleaned away" if stray else None


def _is_torn(entry: CheckpointEntry) -> bool:
    """Whether a checkpoint on the disk is bad; a slot may be, because another is beside it."""
    return entry.tier == "disk" and entry.valid is not True
