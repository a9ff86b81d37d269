"""Unchanged scripts of Lightning under `supervisor run`, through all that may happen."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.e2e.conftest import Supervised
from tests.integrations.trainers import ONE_THREAD, SCRIPTS, trainers_python

pytestmark = [pytest.mark.trainers, pytest.mark.timeout(1500)]
# A launch imports torch and Lightning.
PATIENCE_S = 600.0


class LightningRun(Supervised):
    """A run of a script by the trainers' own Python, and the same script alone."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.command = [trainers_python("lightning"), ""]

    def use(self, script: str, *words: str, faults: str = "", **env: Any) -> None:
        """Have this script run; nothing else is configured but what makes a test short."""
        self.command = [self.command[0], *words[:-1], str(SCRIPTS / script), *words[-1:]]
        self.environment = {**ONE_THREAD, **{name: str(value) for name, value in env.items()}}
        self.configure(
            command=self.command, env={**self.environment, "FAULTS": faults}, grace="60s",
            watch={"heartbeat_timeout": "8s"},
        )  # fmt: skip

    def alone(self) -> Path:
        """Run the same script uninterrupted and without a supervisor; the folder it ran in."""
        folder = self.folder / "alone"
        folder.mkdir()
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        subprocess.run(
            self.command, cwd=folder, env={**kept, **self.environment}, check=True,
            capture_output=True, timeout=PATIENCE_S,
        )  # fmt: skip
        return folder

    def until_the_end(self) -> int:
        """Start again after each stop; the code of the last end."""
        for _ in range(8):
            self.start()
            code = self.finish(PATIENCE_S)
            if code != 75:
                return code
            assert "saved at step" in self.text.splitlines()[-1]
        return 75

    def failures(self) -> list[str]:
        """What ended the attempts."""
        return [entry["failure"] for entry in self.entries("attempt_ended")]

    def steps(self) -> list[int | None]:
        """The checkpoints' steps from which attempts began."""
        chosen = [entry["checkpoint"] for entry in self.entries("attempt_started")]
        return [None if one is None else one["step"] for one in chosen]


@pytest.fixture
def lightning_run(tmp_path: Path) -> Iterator[LightningRun]:
    """A run whose configuration names the command alone."""
    made = LightningRun(tmp_path)
    yield made
    made.close()


def assert_equal(one: Path, other: Path, name: str = "final.pt") -> None:
    """Have two runs' weights equal, bit for bit."""
    first, second = (torch.load(folder / name, weights_only=True) for folder in (one, other))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_an_unchanged_script_is_carried_through(lightning_run: LightningRun) -> None:
    """Two kills, an exception, a hang, a stop, a stop in a validation, a torn checkpoint."""
    run = lightning_run
    run.use(
        "lightning_script.py",
        faults="kill@4,kill@8,exception@11,hang@14,stop@17,stopval@24,stop@27",
        EVERY=3,
    )
    alone = run.alone()
    for _ in range(2):
        run.start()
        assert run.finish(PATIENCE_S) == 75
    assert "saved at step 17" in run.text
    newest = max(run.folder.rglob("*.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    assert "stop-epoch=1-step=24" in newest.name
    with newest.open("r+b") as file:
        file.truncate(3000)
    assert run.until_the_end() == 0
    assert "saved at step 24" in run.text
    assert "saved at step 27" in run.text
    assert run.failures()[:4] == ["killed", "killed", "exception", "hang"]
    assert_equal(alone, run.folder)
    status = run.status
    assert status["step"] == status["total"] == 36
    assert status["adapter"].startswith("lightning 2.")


def test_two_ranks_leave_at_one_step(lightning_run: LightningRun) -> None:
    """Two ranks that Lightning starts: a kill, a stop, a stop in a long validation."""
    run = lightning_run
    run.use(
        "lightning_script.py", faults="kill@4,stop@8,stopval@12", EVERY=3, DEVICES=2,
        STRATEGY="ddp",
    )  # fmt: skip
    alone = run.alone()
    assert run.until_the_end() == 0
    stops = sorted(path.name for path in run.folder.rglob("stop-*.ckpt"))
    assert len(stops) == 2, run.text
    assert run.text.count("stopped by SIGTERM, saved at step") == 2
    assert_equal(alone, run.folder)


def test_spawned_ranks_stop(lightning_run: LightningRun) -> None:
    """The process that spawned them ends with an error of multiprocessing; their pages outrank it.

    It is not a rank, and says 1 for any code of theirs.
    """
    run = lightning_run
    run.use("lightning_script.py", faults="stop@8", EVERY=3, DEVICES=2, STRATEGY="ddp_spawn")
    run.start()
    assert run.finish(PATIENCE_S) == 75
    assert "stopped by SIGTERM, saved at step" in run.text
    assert [entry["outcome"] for entry in run.entries("attempt_ended")] == [75]


def test_a_rank_without_a_page(lightning_run: LightningRun) -> None:
    """Saves do not wait for its random state, and it resumes as the others do."""
    run = lightning_run
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", ""]
    run.use("lightning_script.py", *words, EVERY=3, STRATEGY="ddp", DEVICES=2, NO_PAGE=1,
            faults="kill@8")  # fmt: skip
    assert run.until_the_end() == 0
    assert "from epoch=0-step=6.ckpt (step 6)" in run.text
    assert "a resume restores rank 0's random state alone" in run.text
    assert run.status["step"] == 18


def test_two_ranks_of_torchrun_are_carried_through(lightning_run: LightningRun) -> None:
    """Kills of both ranks, an exception, a hang, a stop in a validation, a torn stop's save."""
    run = lightning_run
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", ""]
    run.use(
        "lightning_script.py", *words,
        faults="kill@3,kill1@5,exception1@8,hang@10,stopval@12,stop@15",
        EVERY=2, DEVICES=2, STRATEGY="ddp",
    )  # fmt: skip
    alone = run.alone()
    stops = []
    for step in (12, 15):
        run.start()
        assert run.finish(PATIENCE_S) == 75
        found = re.search(r"stopped by SIGTERM, saved at step (\d+)", run.text.splitlines()[-1])
        assert found is not None, run.text
        # The ranks agree on a step, which may come a little later.
        stops.append(int(found[1]))
        assert stops[-1] in range(step, step + 3)
    newest = max(run.folder.rglob("stop-*.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    with newest.open("r+b") as file:
        file.truncate(3000)
    assert run.until_the_end() == 0
    assert run.failures()[:4] == ["killed", "killed", "exception", "hang"]
    assert run.steps() == [None, 2, 4, 6, 8, stops[0], (stops[1] - 1) // 2 * 2]
    assert_equal(alone, run.folder)


@pytest.mark.parametrize(
    ("plan", "faults", "names"),
    [
        ("stages", "kill@7,kill@107", ["one", "two"]),
        ("folds", "kill@7,stop@107,kill@207", ["fold-0", "fold-1", "fold-2"]),
        ("finder", "kill@7,kill@107", ["main", "second"]),
        # One process trains before the main one does, another while it does.
        ("process", "kill@7,kill@107,kill@207", ["before", "main", "probe"]),
    ],
)
def test_a_checkpoint_goes_into_the_training_that_wrote_it(
    lightning_run: LightningRun, plan: str, faults: str, names: list[str]
) -> None:
    """A kill in each of a script's trainings: the models equal those of the script alone."""
    run = lightning_run
    run.use("lightning_several.py", plan, faults=faults)
    alone = run.alone()
    assert run.until_the_end() == 0
    assert len(run.failures()) == len(names) + 1
    for name in names:
        assert_equal(alone, run.folder, f"{name}.pt")


def test_the_package_of_the_older_name(lightning_run: LightningRun) -> None:
    """`pytorch_lightning`, by itself: a kill and a stop."""
    run = lightning_run
    trainers_python("pytorch_lightning")
    run.use("lightning_script.py", faults="kill@8,stop@16", EVERY=5, PACKAGE="pytorch_lightning")
    alone = run.alone()
    assert run.until_the_end() == 0
    assert_equal(alone, run.folder)
