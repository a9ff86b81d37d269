"""The findings of the sweeps, each in its own test without strace."""

import os
import resource
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from supervisor.checkpoint import staging
from supervisor.checkpoint.commit import CheckpointWriter, clean_staging
from supervisor.memory.slots import Lock
from supervisor.torch import layout
from supervisor.torch.pickling import write_without_data
from tests.chaos.workbench import CASES, Bench


def _never(_tensor: torch.Tensor) -> bool:
    return False


@pytest.mark.parametrize("damage", ["cut short", "not written"])
def test_a_scratch_file_that_fails_is_an_error_of_the_tmpfs(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch raised RuntimeError, which ended the training; an OSError costs only the memory."""

    def write(content: Any, path: Path, capacity: Any) -> Any:
        if damage == "not written":
            raise RuntimeError("basic_ios::clear: iostream error")
        written = write_without_data(content, path, capacity)
        os.truncate(path, path.stat().st_size - 30)
        return written

    monkeypatch.setattr(layout, "write_without_data", write)
    with pytest.raises(OSError, match="Input/output error") as caught:
        layout.build("model.pt", {"weight": torch.ones(3)}, tmp_path, _never)
    assert caught.value.filename == str(tmp_path / "model.pt")
    assert os.listdir(tmp_path) == []


def test_a_state_that_cannot_be_pickled_is_no_error_of_the_tmpfs(tmp_path: Path) -> None:
    """The error of torch.save is raised unchanged."""
    with pytest.raises(TypeError, match="cannot pickle"):
        layout.build("model.pt", {"lock": threading.Lock()}, tmp_path, _never)


def test_what_could_not_be_removed_goes_with_the_next_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A living process counted as the writer of a stage that it had given up: the stage stayed."""

    def fail(path: Path) -> bool:
        raise OSError(5, "Input/output error", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(staging, "discard", fail)
        with (
            pytest.raises(ValueError, match="given up"),
            CheckpointWriter(tmp_path, "checkpoint-5", step=5, epoch=0),
        ):
            raise ValueError("given up")
    (left,) = tmp_path.iterdir()
    with CheckpointWriter(tmp_path, "checkpoint-6", step=6, epoch=0) as living:
        assert clean_staging(tmp_path) == (left,)
        assert living.path.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_whose_file_cannot_be_closed_is_let_go_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Giving memory back raised and ended the training, although the kernel had closed the file."""
    lock = Lock(tmp_path / "lock")
    assert lock.acquire()
    real = os.close

    def close(fd: int) -> None:
        real(fd)
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "close", close)
        lock.close()
    assert lock_from_outside(tmp_path / "lock")


def lock_from_outside(path: Path) -> bool:
    """Whether another process gets a lock."""
    program = "import sys; from pathlib import Path; from supervisor.memory.slots import Lock\n"
    program += "sys.exit(not Lock(Path(sys.argv[1])).acquire())"
    return subprocess.run([sys.executable, "-c", program, str(path)]).returncode == 0


def test_a_board_that_the_tmpfs_did_not_take_is_written_once_it_does(bench: Bench) -> None:
    """No bell rings for the retry; until it succeeds the persister sleeps, despite its own bell."""
    service = bench.start(CASES["a further save"])
    try:
        _, hard = resource.prlimit(service.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (0, hard))
        bench.save(service, 0)
        # It wrote no byte of the checkpoint, gave it up, and sleeps.
        service.wait(lambda: service.has_tried(bench.place.out) and not bench.place.staged())
        assert service.board is not None
        assert service.board.results == ()
        resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (hard, hard))
        assert service.wait_for_result()
        assert not service.board.results[-1].ok
        assert service.end() == (0, "")
    finally:
        service.kill()
