"""Snapshots as the trainer makes them: torch lays out a file without its data, on a real tmpfs.

The data then goes into the places of the storages.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from supervisor.memory.persister_status import PersisterRecord, Result, read_board
from supervisor.memory.seal import SealWriter, Snapshot
from supervisor.memory.slots import Lock, SlotPaths, Whole, make_root, wake

PROGRAM = Path(__file__).parents[2] / "supervisor" / "memory" / "__main__.py"
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
    """Yield each storage of a state's tensors once, in the order in which torch saves them."""
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
    """Save a state as a trainer does in a slot, and return its floating-point storages' ranges."""
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
    """Return a function that writes a snapshot into a slot as its writer does."""

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


class ServingPersister:
    """A real persister, which ends when its standard input, a pipe, is closed."""

    def __init__(self, root: Path, *options: str, argv: list[str] | None = None, **popen: Any):
        self.root = root
        command = argv or [sys.executable, "-P", str(PROGRAM)]
        self.process = subprocess.Popen(
            [*command, "persist", "--directory", str(root), "--nice", "0", *options],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **popen,
        )

    def end(self) -> tuple[int, str]:
        """Close its pipe and wait; return the exit code and the text on stderr."""
        _, said = self.process.communicate(timeout=90)
        return self.process.returncode, said

    def kill(self) -> None:
        """Kill the persister with SIGKILL, and reap it."""
        self.process.kill()
        self.process.communicate(timeout=90)

    def wait_for(self, is_so: Callable[[PersisterRecord], object]) -> PersisterRecord:
        """Return the board once this condition is true for it."""
        return wait_until(lambda: (board := self.board()) and is_so(board) and board)

    def board(self) -> PersisterRecord | None:
        """Return the board if it is this process's."""
        board = read_board(self.root)
        return board if board is not None and board.pid == self.process.pid else None

    def wait_for_result(self, count: int = 1) -> Result:
        """Return the newest result once there are `count` and the persister is idle."""
        board = self.wait_for(lambda board: len(board.results) >= count and board.state == "idle")
        return board.results[-1]


def wait_until(condition: Callable[[], Any], timeout_s: float = 90.0) -> Any:
    """Return the condition's value once it is true."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.005)
    return found


@pytest.fixture
def persister(root: Path) -> Iterator[Callable[..., ServingPersister]]:
    """Return a function that starts persisters; none of them outlives the test."""
    started: list[ServingPersister] = []

    def start(*options: str, **settings: Any) -> ServingPersister:
        started.append(ServingPersister(root, *options, **settings))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.kill()
        for stream in (one.process.stdin, one.process.stderr):
            if stream is not None:
                stream.close()


Start = Callable[..., ServingPersister]


def truncate(folder: Path) -> None:
    """Cut an archive short."""
    os.truncate(folder / "model.pt", (folder / "model.pt").stat().st_size - 1)


def garble(folder: Path) -> None:
    """Replace an archive with random bytes of the same size."""
    size = (folder / "model.pt").stat().st_size
    (folder / "model.pt").write_bytes(os.urandom(size))


def link(folder: Path) -> None:
    """Replace a file with a link to it."""
    target = folder.parent / "elsewhere.pt"
    (folder / "model.pt").rename(target)
    (folder / "model.pt").symlink_to(target)


def pipe(folder: Path) -> None:
    """Replace a file with a pipe, which would block a process that opens it."""
    (folder / "training_state.json").unlink()
    os.mkfifo(folder / "training_state.json")


def state(text: str) -> Callable[[Path], object]:
    """Return a damage that writes another training state, of the right one's length."""
    right = '{"global_step": 10, "current_epoch": 3, "format": 1}'
    return lambda folder: (folder / "training_state.json").write_text(text.ljust(len(right)))


DAMAGES = {
    "truncated": truncate,
    "garbage": garble,
    "link": link,
    "pipe": pipe,
    "no training state": lambda folder: (folder / "training_state.json").unlink(),
    "other step": state('{"global_step": 11, "current_epoch": 3, "format": 1}'),
    "no object": state("[]"),
    "nested": lambda folder: (folder / "training_state.json").write_text("[" * 100_000),
    "more": lambda folder: (folder / "more.bin").write_bytes(b"1"),
    "huge": lambda folder: os.truncate(folder / "model.pt", 1 << 50),
    "manifest": lambda folder: (folder / "training_state.json").rename(folder / "manifest.json"),
}
