"""A full disk: a live trainer goes on, a dead one waits for space, the ledger has the decision."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import Supervised, uninterrupted
from tests.train.conftest import CORPUS, ROOT, TINY, merge

pytestmark = pytest.mark.root


@pytest.fixture
def small(run: Supervised) -> Iterator[Supervised]:
    """A run directory on a tmpfs of 12 MB."""
    run.run_dir.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "none", str(run.run_dir)]
    subprocess.run(mount, check=True)
    yield run
    run.close()
    subprocess.run(["umount", "-l", str(run.run_dir)], check=True)


def fill(path: Path) -> None:
    """Fill the file system with one file."""
    with path.open("wb") as file:
        try:
            while os.write(file.fileno(), b"\0" * 65536):
                continue
        except OSError:
            return


def test_a_trainer_that_died_of_it_waits_and_goes_on_by_itself(small: Supervised) -> None:
    """The run waits with `disk_full`, older checkpoints stay, and free space ends the wait."""
    run = small
    run.configure(hold=12, env={"STEP_S": "0.05", "PADDING": str(1 << 20)})
    run.start()
    run.wait_step(12)
    fill(run.run_dir / "filler")
    run.let_go()
    run.wait(lambda: run.status.get("state") == "waiting" or run.entries("decision"))
    (decision,) = [e for e in run.wait(lambda: run.entries("decision")) if e["wait_s"]]
    assert (decision["state"], decision["failure"]) == ("waiting", "disk_full")
    assert (run.run_dir / "checkpoint-10").is_dir()
    assert len(run.entries("attempt_started")) == 1
    (run.run_dir / "filler").unlink()
    assert run.finish() == 0
    assert run.weight() == uninterrupted()
    assert not list(run.run_dir.glob(".staging-*"))


def test_waiting_for_space_can_be_stopped(small: Supervised) -> None:
    """A stop during the wait exits 75; the next run resumes."""
    run = small
    run.configure(hold=12, env={"STEP_S": "0.05", "PADDING": str(1 << 20)})
    process = run.start()
    run.wait_step(12)
    fill(run.run_dir / "filler")
    run.let_go()
    run.wait(lambda: any(e["state"] == "waiting" for e in run.entries("decision")))
    process.send_signal(signal.SIGTERM)
    assert run.finish() == 75
    (run.run_dir / "filler").unlink()
    assert run.run() == 0
    assert run.weight() == uninterrupted()


@pytest.mark.slow
def test_a_live_trainer_goes_on_and_its_failed_save_is_reported(
    run: Supervised, tmp_path: Path
) -> None:
    """The reference trainer on a full disk: one attempt, the failed save recorded, a whole end."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(disk)]
    subprocess.run(mount, check=True)
    try:
        filler = disk / "filler"
        filler.write_bytes(b"x" * 4056 * 1024)
        settings = merge(TINY, {"output_dir": str(disk), "training": {"epochs": 40}})
        settings = merge(settings, {"checkpoints": {"save_steps": 150}})
        (tmp_path / "corpus.txt").write_text(CORPUS)
        (tmp_path / "train.yaml").write_text(yaml.safe_dump(settings))
        run.configure(
            command=[sys.executable, "-m", "train", "--config", str(tmp_path / "train.yaml")],
            checkpoints={"directory": str(disk), "keep": 1},
            watch={"heartbeat_timeout": "60s"},
            env={"PYTHONPATH": str(ROOT)},
        )
        run.start()
        (first, *_) = run.wait(lambda: run.entries("save_failed"))
        assert "No space left on device" in first["line"]
        filler.unlink()
        assert run.finish(100) == 0, run.log[-2000:]
        assert len(run.entries("attempt_started")) == 1
        assert run.status["checkpoint"]["kind"] == "final"
    finally:
        run.close()
        subprocess.run(["umount", "-l", str(disk)], check=True)
