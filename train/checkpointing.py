"""Writing what `resume.py` reads, committed whole or not at all; it decides nothing about when."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from supervisor.checkpoint.commit import CheckpointWriter
from supervisor.checkpoint.format import Kind
from supervisor.worker import Worker
from train import randomness
from train.config import CheckpointConfig
from train.data import TrainingData
from train.log import Log
from train.model import canonical
from train.position import (
    STATE_FILE,
    checkpoint_name,
    current_epoch,
    describe_position,
)
from train.resume import (
    EMA_FILE,
    MODEL_FILE,
    OPTIMIZER_FILE,
    RANDOM_FILE,
    SCALER_FILE,
    SCHEDULER_FILE,
    list_checkpoints,
)
from train.state import TrainingState


class SaveFailed(Exception):  # noqa: N818 - reads as what happened
    """The disk did not take a checkpoint; nothing of it is left, and the older ones stand."""


class _WatchedFile:
    """A file that remembers the first error of its disk.

    torch's zip writer raises RuntimeError("unexpected pos …") on its way out, which hides ENOSPC.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of it, and remember the first failure."""
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = self.error or error
            raise

    def flush(self) -> None:
        """Flush, and remember the first failure."""
        try:
            self._file.flush()
        except OSError as error:
            self.error = self.error or error
            raise


class Checkpoints:
    """The checkpoint directory as the trainer writes it."""

    def __init__(
        self,
        directory: Path,
        config: CheckpointConfig,
        state: TrainingState,
        data: TrainingData,
        run: Worker,
        log: Log,
        resumed: Path | None,
    ) -> None:
        self.directory = directory
        self.config = config
        self.state = state
        self.data = data
        self.run = run
        self.log = log
        self.resumed = resumed
        # the checkpoint that equals the state of now, if `last_step` is the step of now
        self.last = resumed
        self.last_step = state.position.step

    def save(self, kind: Kind, before_commit: Callable[[], None]) -> Path:
        """Write and commit a checkpoint of now; `before_commit` makes durable what goes with it.

        Raises SaveFailed if the disk fails; a later try writes everything again.
        """
        started = time.monotonic()
        position = self.state.position
        name = checkpoint_name(position, name_epochs=self.config.every_epoch)
        finite = self._is_finite()
        try:
            before_commit()
            with CheckpointWriter(
                self.directory,
                name,
                step=position.step,
                epoch=current_epoch(position),
                kind=kind,
                run_id=self.run.run_id,
                attempt=self.run.attempt,
                resumed_from=self.resumed.name if self.resumed is not None else None,
                world_size=1,
                torch_version=torch.__version__,
                finite=finite,
            ) as writer:
                for file_name, content in self._contents().items():
                    _write_tensors(writer, file_name, content)
                text = json.dumps(
                    describe_position(
                        position, self.data, evaluation_due=self.state.evaluation_due
                    ),
                    indent=2,
                )
                with writer.open(STATE_FILE) as file:
                    file.write(text.encode() + b"\n")
                path = writer.commit()
        except OSError as error:
            path = self.directory / name
            # one stable line: the supervisor looks for it
            message = f"checkpoint save FAILED step={position.step} path={path} error={error}"
            raise SaveFailed(message) from error
        self.last, self.last_step = path, position.step
        size = sum(file.stat().st_size for file in path.iterdir())
        self.log.say(
            f"saved {path} ({kind.value}, step {position.step}, {size / 1e6:.1f} MB,"
            f" {time.monotonic() - started:.2f} s)"
        )
        if not finite:
            self.log.warn(f"{path} holds weights that are not finite")
        return path

    def prune(self) -> None:
        """Keep the newest; a supervisor prunes by itself and sees pins that are not seen here."""
        if self.run.attached:
            return
        ours = [
            path for path in list_checkpoints(self.directory) if (path / "manifest.json").exists()
        ]
        pins = self.directory / ".supervisor" / "pins"
        for path in ours[self.config.keep :]:
            if path == self.last or (pins / path.name).exists():
                continue
            trash = self.directory / ".set-aside" / f".deleting-{path.name}"
            try:
                # renamed first: half of a checkpoint must never stand under its name
                trash.parent.mkdir(exist_ok=True)
                path.rename(trash)
                shutil.rmtree(trash)
            except OSError as error:
                self.log.warn(f"{path} could not be removed: {error}")

    def _contents(self) -> dict[str, Any]:
        state = self.state
        contents: dict[str, Any] = {
            MODEL_FILE: {
                canonical(name): value for name, value in state.model.state_dict().items()
            },
            OPTIMIZER_FILE: state.optimizer.state_dict(),
            SCHEDULER_FILE: state.schedule.state_dict(),
            RANDOM_FILE: randomness.capture(),
        }
        if state.ema is not None:
            contents[EMA_FILE] = state.ema.weights
        if state.scaler is not None:
            contents[SCALER_FILE] = state.scaler.state_dict()
        return contents

    def _is_finite(self) -> bool:
        tensors = list(self.state.model.state_dict().values())
        if self.state.ema is not None:
            tensors += self.state.ema.weights.values()
        floating = [tensor for tensor in tensors if tensor.is_floating_point()]
        if not floating:
            return True
        # one answer from the device, not one for each tensor
        return bool(torch.stack([tensor.isfinite().all() for tensor in floating]).all())


def _write_tensors(writer: CheckpointWriter, name: str, content: Any) -> None:
    watched: _WatchedFile | None = None
    try:
        with writer.open(name) as file:
            watched = _WatchedFile(file)
            torch.save(content, watched)  # type: ignore[arg-type]  # it needs write and flush
    except RuntimeError:
        if watched is not None and watched.error is not None:
            raise watched.error from None
        raise
