"""Snapshots as the trainer makes them: torch lays a file out without its data, which then goes
into the storages' places on a real tmpfs."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from supervisor.snapshot.seal import SealWriter, Snapshot
from supervisor.snapshot.slots import Lock, SlotPaths, Whole, make_root, wake

State = Mapping[str, Any]
Fill = Callable[..., Whole]


@pytest.fixture
def root() -> Iterator[Path]:
    """A snapshot directory on the tmpfs of this machine."""
    place = Path(tempfile.mkdtemp(prefix="snapshot-test-", dir="/dev/shm"))
    make_root(place)
    yield place
    shutil.rmtree(place, ignore_errors=True)


def storages(value: Any) -> Iterator[torch.UntypedStorage]:
    """The storages of all tensors in a state, each once, in the order in which torch saves them."""
    seen: set[int] = set()
    pending = [value]
    while pending:
        one = pending.pop(0)
        if isinstance(one, torch.Tensor):
            storage = one.untyped_storage()
            if storage._cdata not in seen:
                seen.add(storage._cdata)
                yield storage
        elif isinstance(one, Mapping):
            pending[:0] = list(one.values())
        elif isinstance(one, list | tuple):
            pending[:0] = list(one)


def write_in_place(path: Path, state: State) -> list[list[object]]:
    """Save a state as a trainer does into a slot; the ranges of its floating-point storages."""
    with torch.serialization.skip_data():
        torch.save(state, path)
    reader = torch._C.PyTorchFileReader(str(path))
    ranges: list[list[object]] = []
    dtypes = {
        tensor.untyped_storage()._cdata: str(tensor.dtype).removeprefix("torch.")
        for tensor in state.values()
        if isinstance(tensor, torch.Tensor)
    }
    with path.open("r+b") as file:
        for key, storage in enumerate(storages(state)):
            offset = reader.get_record_offset(f"data/{key}")
            data = torch.empty(0, dtype=torch.uint8).set_(storage)
            file.seek(offset)
            file.write(data.numpy().data)
            dtype = dtypes.get(storage._cdata)
            if dtype is not None and ("float" in dtype or "complex" in dtype):
                ranges.append([dtype, offset, storage.nbytes()])
    return ranges


@pytest.fixture
def fill(root: Path, tmp_path: Path) -> Fill:
    """Write a snapshot into a slot as the one writer does; the whole slot."""

    def write(
        step: int,
        states: Mapping[str, State],
        *,
        index: int = 0,
        sequence: int | None = None,
        directory: Path | None = None,
        weights: tuple[str, ...] = ("model.pt",),
        change: Callable[[Path], object] | None = None,
        **options: Any,
    ) -> Whole:
        slot = SlotPaths(root / f"slot-{index}")
        slot.folder.mkdir(exist_ok=True)
        with Lock(slot.lock) as lock:
            assert lock.acquire()
            seal = SealWriter(slot.seal)
            seal.begin()
            for old in slot.folder.iterdir():
                if old.is_dir():
                    shutil.rmtree(old)
            slot.writing.mkdir()
            ranges = {
                name: write_in_place(slot.writing / name, state) for name, state in states.items()
            }
            state = {"global_step": step, "current_epoch": 3, "format": 1}
            (slot.writing / "training_state.json").write_text(json.dumps(state))
            files = {name: ranges[name] for name in weights if name in ranges}
            slot.weights.write_text(json.dumps({"files": files}))
            size = sum(path.stat().st_size for path in slot.writing.iterdir())
            if change is not None:
                change(slot.writing)
            settings: dict[str, Any] = {
                "name": f"checkpoint-{step}",
                "directory": str(directory or tmp_path / "out"),
                "step": step,
                "epoch": 3,
                "kind": "periodic",
                "run_id": "run",
                "attempt": 1,
                "resumed_from": None,
                "world_size": 1,
                "torch_version": str(torch.__version__),
                "is_wanted": True,
                "before": (),
                "bytes": size,
                "written": time.time(),
                **options,
            }
            snapshot = Snapshot(**settings)
            slot.writing.rename(slot.checkpoint(snapshot))
            seal.close_over(step if sequence is None else sequence, snapshot)
            seal.close()
        wake(root)
        return Whole(slot, step if sequence is None else sequence, snapshot)

    return write


@pytest.fixture
def states() -> dict[str, State]:
    """A small model with a buffer of -inf, tied weights, and its optimizer's moments."""
    torch.manual_seed(os.getpid())
    weight = torch.randn(64, 33)
    model = {
        "weight": weight,
        "tied": weight.t(),
        "half": torch.randn(17).bfloat16(),
        "empty": torch.zeros(0),
        "scalar": torch.tensor(3.5),
    }
    moments = {"exp_avg": torch.randn(64, 33), "step": torch.tensor(7.0)}
    mask = {"mask": torch.full((8, 8), float("-inf")).triu(1)}
    return {"model.pt": model, "optimizer.pt": {"state": {0: moments}}, "buffers.pt": mask}
