"""A disk that takes no more: a live trainer goes on, says so, and saves again when it can."""

import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor.memory.slots import read_whole
from supervisor.torch.place import own_root
from tests.train.conftest import Workplace

Same = Callable[[Path, Path], None]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 400 KiB."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(path)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("cannot mount a tmpfs here")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.mark.root
def test_a_full_disk_does_not_stop_training(
    reference: Workplace, workplace: Workplace, small_disk: Path, assert_same_training: Same
) -> None:
    """Each failed save prints one line and leaves nothing, and the next save tries again."""
    output = workplace.outputs
    output.symlink_to(small_disk)
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 360 * 1024)
    trainer = workplace.start(changes={"checkpoints": {"keep": 1}})
    assert trainer.wait_for("checkpoint save FAILED step=5 path="), trainer.output
    assert "No space left on device" in trainer.lines[-1]
    filler.unlink()
    assert trainer.end() == 0, trainer.output
    assert [path.name for path in small_disk.glob("checkpoint-*")] == ["checkpoint-epoch-2"]
    assert list(small_disk.glob(".staging-*")) == []
    assert_same_training(reference.outputs, small_disk)


def test_a_last_save_that_fails_is_no_success(workplace: Workplace) -> None:
    """With a limit on file sizes nothing is saved: training goes on to the end, then exits 1."""
    trainer = workplace.start(prefix=["prlimit", "--fsize=12000"])
    assert trainer.end() == 1, trainer.output
    failed = [line for line in trainer.lines if "checkpoint save FAILED step=" in line]
    assert len(failed) >= 9
    assert all("error=" in line for line in failed)
    assert "step 42/42" in trainer.output
    assert "Traceback" not in trainer.output
    assert list(workplace.outputs.glob("checkpoint-*")) == []
    assert list(workplace.outputs.glob(".staging-*")) == []


def test_an_emergency_save_that_fails_says_so(workplace: Workplace) -> None:
    """A stop without a saved state must not look like a preemption."""
    changes = {
        "data": {"batch_size": 1},
        "checkpoints": {"snapshot_steps": 1},
        "training": {"epochs": 40},
    }
    trainer = workplace.start(changes=changes)
    assert trainer.wait_for("step 7/")
    # Both slots are laid out first, because the limit set below also holds for memory's files.
    while len(read_whole(own_root(workplace.outputs)[0])) < 2:
        assert trainer.process.poll() is None
        time.sleep(0.01)
    # The process that writes to the disk is a child of one of the trainer's threads.
    lists = Path(f"/proc/{trainer.process.pid}/task").glob("*/children")
    children = [int(word) for path in lists for word in path.read_text().split()]
    assert children
    for pid in (trainer.process.pid, *children):
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (20_000, hard))
    trainer.process.terminate()
    assert trainer.end() == 1, trainer.output
    assert "error: checkpoint save FAILED step=" in trainer.output
    assert {path.name for path in workplace.outputs.glob(".staging-*")} == set()
    # If memory's own files did not hit the limit, the snapshot stays in memory and the output says
    # so; `supervisor clean` shows it.
    memory = own_root(workplace.outputs)[0]
    assert memory.is_dir() is (f"a snapshot stays in {memory}" in trainer.output)
    shutil.rmtree(memory, ignore_errors=True)
