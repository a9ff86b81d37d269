"""The savers that are measured: torch.save, torch's distributed checkpoint, and ours.

Each is used at its best: the asynchronous savers keep their staging memory from save to save.
"""

import os
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions
from torch.distributed.checkpoint.state_dict_saver import AsyncCheckpointerType

from benchmarks.controls import Control, Dd, Snapshot, sources_of
from benchmarks.trained import Trained
from supervisor.system.durable import fsync_directory
from supervisor.torch import Checkpointer, load

LOOK_S = 0.001
FINISH_TIMEOUT_S = 120.0


class Saver(Protocol):
    """One way to save; created once the training has its whole state."""

    def save(self) -> None:
        """Save the current state; return when training may go on."""

    def finish(self) -> Path | None:
        """Wait until the last save is durable and return its path. Called once per save."""

    def load(self, path: Path) -> None:
        """Load a checkpoint into the training."""

    def close(self) -> None:
        """End what the saver started."""


class _TorchSave:
    """`torch.save` of everything into one file; training does not wait for the fsync after it."""

    def __init__(self, trained: Trained, directory: Path) -> None:
        self._trained = trained
        self._directory = directory
        self._path = directory
        self._syncing: threading.Thread | None = None

    def save(self) -> None:
        self._path = self._directory / f"step-{self._trained.step}"
        self._path.mkdir()
        file = self._path / "checkpoint.pt"
        torch.save(self._trained.states(), file)
        self._syncing = threading.Thread(target=_sync, args=(file,))
        self._syncing.start()

    def finish(self) -> Path:
        assert self._syncing is not None
        self._syncing.join()
        return self._path

    def load(self, path: Path) -> None:
        states = torch.load(path / "checkpoint.pt", weights_only=True)
        self._trained.load(states)

    def close(self) -> None:
        pass


class _Dcp:
    """`torch.distributed.checkpoint.save` as a group of one; it syncs its files itself."""

    def __init__(self, trained: Trained, directory: Path) -> None:
        self._trained = trained
        self._directory = directory
        self._path = directory
        if not dist.is_initialized():
            meeting = f"file://{directory.absolute()}/.group"
            dist.init_process_group("gloo", init_method=meeting, rank=0, world_size=1)

    def save(self) -> None:
        state_dict_saver.save(self._trained.states(), checkpoint_id=self._next())

    def finish(self) -> Path:
        return self._path

    def _next(self) -> Path:
        self._path = self._directory / f"step-{self._trained.step}"
        return self._path

    def load(self, path: Path) -> None:
        states = self._trained.states()
        state_dict_loader.load(states, checkpoint_id=path)
        self._trained.load(states)

    def close(self) -> None:
        dist.destroy_process_group()


class _DcpAsync(_Dcp):
    """`async_save`, which stages the state in memory and writes it in a thread or a process."""

    kind = AsyncCheckpointerType.THREAD

    def __init__(self, trained: Trained, directory: Path) -> None:
        super().__init__(trained, directory)
        is_shared = self.kind is AsyncCheckpointerType.PROCESS
        # (pinned memory, shared memory, asynchronous staging, non-blocking copies)
        options = StagingOptions(trained.device.type == "cuda", is_shared, False, False)
        self._stager = DefaultStager(options)
        self._future: Future[Any] | None = None

    def save(self) -> None:
        future = state_dict_saver.async_save(
            self._trained.states(),
            checkpoint_id=self._next(),
            async_checkpointer_type=self.kind,
            async_stager=self._stager,
        )
        assert isinstance(future, Future)
        self._future = future

    def finish(self) -> Path:
        assert self._future is not None
        self._future.result()
        return super().finish()

    def close(self) -> None:
        self._stager.close()
        super().close()


class _DcpProcess(_DcpAsync):
    """`async_save` with a process that writes."""

    kind = AsyncCheckpointerType.PROCESS


class _Ours:
    """`supervisor.torch`, which persists by itself without a supervisor."""

    def __init__(self, trained: Trained, directory: Path) -> None:
        self._trained = trained
        self._keeper = Checkpointer(sources_of(trained), directory=directory, snapshot_steps=0)

    def save(self) -> None:
        taken = self._keeper.save(self._trained.step)
        if taken.sequence is None:
            raise RuntimeError(f"no snapshot in memory: {taken.reason}")

    def finish(self) -> Path:
        deadline = time.monotonic() + FINISH_TIMEOUT_S
        while not (news := self._keeper.news()):
            if time.monotonic() > deadline:
                raise TimeoutError("a save does not end")
            time.sleep(LOOK_S)  # a look is one stat, and nothing else is measured meanwhile
        saved = news[-1]
        if not saved.ok:
            raise RuntimeError(f"not saved: {saved.error}")
        return saved.path

    def load(self, path: Path) -> None:
        states = load(path)
        self._trained.load(
            {
                "model": states["model.pt"],
                "optimizer": states["optimizer.pt"],
                "schedule": states["scheduler.pt"],
            }
        )

    def close(self) -> None:
        self._keeper.close()


SAVERS: dict[str, Callable[[Trained, Path], Saver]] = {
    "supervisor": _Ours,
    "torch.save": _TorchSave,
    "DCP save": _Dcp,
    "DCP thread": _DcpAsync,
    "DCP process": _DcpProcess,
}
# Only the stall of these is measured.
CONTROLS: dict[str, Callable[[Trained, Path], Saver]] = {
    "memory alone": Snapshot,
    "dd alone": Dd,
    "control": Control,
}


def silence() -> None:
    """Keep the peers' own warnings out of the report, because its reader cannot act on them."""
    warnings.filterwarnings("ignore", module=r"torch\.")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def _sync(file: Path) -> None:
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    for folder in (file.parent, file.parent.parent):
        fsync_directory(folder)
