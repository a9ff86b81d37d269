"""Checkpoints as trainers really write them: torch saves them once, and tests copy the bytes."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor.checkpoint.commit import CheckpointWriter
from supervisor.memory.seal import SealWriter, Snapshot
from supervisor.memory.slots import Whole, make_root

Files = dict[str, bytes]
MakeOurs = Callable[..., Path]


@pytest.fixture(scope="session")
def torch_files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Model, optimizer, scheduler and EMA state of a tiny model after one step, by torch.save."""
    import torch

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("torch")
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Linear(16, 4))
    optimizer = torch.optim.AdamW(model.parameters())
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10)
    model(torch.randn(2, 8)).sum().backward()
    optimizer.step()
    scheduler.step()
    states = {
        "model.pt": model.state_dict(),
        "optimizer.pt": optimizer.state_dict(),
        "scheduler.pt": scheduler.state_dict(),
        "ema_model.pt": model.state_dict(),
    }
    for name, state in states.items():
        torch.save(state, folder / name)
    torch.save(model.state_dict(), folder / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.serialization.set_crc32_options(False)
    torch.save(model.state_dict(), folder / "no_crc.pt")
    torch.serialization.set_crc32_options(True)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="session")
def guide_files(torch_files: Files) -> Files:
    """The resume guide's files of tensors, without `training_state.json`."""
    names = ("model.pt", "optimizer.pt", "scheduler.pt", "ema_model.pt")
    return {name: torch_files[name] for name in names}


@pytest.fixture(scope="session")
def make_ours(guide_files: Files) -> MakeOurs:
    """Return a function that writes a checkpoint of our format with the guide's files."""

    def make(parent: Path, step: int, name: str | None = None, **options: object) -> Path:
        settings: dict[str, object] = {"epoch": 0, "run_id": "run", **options}
        with CheckpointWriter(
            parent, name or f"checkpoint-{step}", step=step, **settings
        ) as writer:  # type: ignore[arg-type]
            for file, data in guide_files.items():
                (writer.path / file).write_bytes(data)
            state = {"global_step": step, "current_epoch": settings["epoch"], "format": 1}
            (writer.path / "training_state.json").write_text(json.dumps(state))
            return writer.commit()

    return make


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A directory on another file system than `tmp_path`, so that no rename reaches it."""
    for place in ("/dev/shm", "/tmp", "/run"):
        if os.access(place, os.W_OK) and os.stat(place).st_dev != tmp_path.stat().st_dev:
            with tempfile.TemporaryDirectory(dir=place) as folder:
                yield Path(folder)
            return
    pytest.skip("there is one file system only")


def write_files(folder: Path, files: Files, age_s: float = 60.0) -> Path:
    """Write a foreign checkpoint directory whose last write was `age_s` ago."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    make_old(folder, age_s)
    return folder


def make_old(path: Path, age_s: float = 60.0) -> None:
    """Set the modification time of a checkpoint's files back (their ctime stays)."""
    then = time.time() - age_s
    for one in [path, *path.rglob("*")]:
        os.utime(one, (then, then), follow_symlinks=False)


def as_json(**content: object) -> bytes:
    """The bytes of a small JSON file."""
    return json.dumps(content).encode()


def write_snapshot(
    root: Path,
    directory: Path,
    files: Files,
    step: int,
    *,
    index: int = 0,
    sequence: int | None = None,
    **options: object,
) -> Whole:
    """Write a whole snapshot of run `run` into a slot; its checkpoint belongs into `directory`."""
    slot = make_root(root).slot(index)
    shutil.rmtree(slot.folder, ignore_errors=True)
    folder = slot.folder / f"checkpoint-{step}"
    state = {"training_state.json": as_json(global_step=step, current_epoch=0, format=1)}
    write_files(folder, {**files, **state})
    values: dict[str, object] = {
        "name": folder.name,
        "directory": str(directory),
        "step": step,
        "epoch": 0,
        "kind": "periodic",
        "run_id": "run",
        "attempt": 1,
        "resumed_from": None,
        "world_size": 1,
        "torch_version": None,
        "is_wanted": False,
        "before": (),
        "bytes": sum(path.stat().st_size for path in folder.iterdir()),
        "written": 1.7e9,
    }
    snapshot = Snapshot(**{**values, **options})  # type: ignore[arg-type]
    slot.lock.touch(0o600)
    seal = SealWriter(slot.seal)
    seal.begin()
    seal.close_over(step if sequence is None else sequence, snapshot)
    seal.close()
    return Whole(slot, step if sequence is None else sequence, snapshot)
