"""Keeps the state that `resume.py` reads, in memory and on the disk. The loop decides when."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor, nn

import supervisor.torch
from supervisor.checkpoint.format import MANIFEST, Kind
from supervisor.checkpoint.prune import remove_path
from supervisor.torch import AlreadyWrittenError, Checkpointer, Saved, Taken
from supervisor.worker import Worker
from train import randomness
from train.config import CheckpointConfig
from train.data import TrainingData
from train.errors import ConfigurationError, TrainingError
from train.log import Log
from train.model import canonical
from train.position import checkpoint_name, current_epoch, describe_position
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

# How long a save waits for an earlier save to reach the disk. After that it replaces that save.
PATIENCE_S = 10.0


class SaveFailed(Exception):  # noqa: N818 - reads as what happened
    """The disk did not take a checkpoint. Its files are removed, and older checkpoints stay."""


class _Weights:
    """A model whose weights have the names that a checkpoint uses."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model

    def state_dict(self) -> dict[str, Any]:
        """Weights and buffers, without torch.compile's prefixes."""
        return {canonical(name): value for name, value in self._model.state_dict().items()}

    def parameters(self) -> Iterator[Tensor]:
        """The weights that must be finite."""
        return self._model.parameters()


class Checkpoints:
    """The checkpoint directory that the trainer fills.

    Raises TrainingError if another process writes into it, ConfigurationError if it cannot be used.
    """

    def __init__(
        self,
        directory: Path,
        config: CheckpointConfig,
        state: TrainingState,
        data: TrainingData,
        run: Worker,
        log: Log,
        resumed: Path | None,
        metrics_file: Path,
    ) -> None:
        self.directory = directory
        self.config = config
        self.state = state
        self.data = data
        self.run = run
        self.log = log
        self.metrics_file = metrics_file
        # The newest checkpoint on the disk. It holds the present state if `last_step` is its step.
        self.last = resumed
        self.last_step = state.position.step
        if resumed is not None and run.snapshot_dir in resumed.parents:
            self.last, self.last_step = None, -1
        self._kinds: dict[int, Kind] = {}
        try:
            self._keeper = Checkpointer(
                self._sources(),
                directory=directory,
                run=run,
                snapshot_steps=config.snapshot_steps,
                save_steps=config.save_steps,
                resumed_from=resumed.name if resumed is not None else None,
                patience_s=PATIENCE_S,
            )
        except AlreadyWrittenError as error:
            raise TrainingError(str(error)) from error
        except supervisor.torch.ConfigurationError as error:
            raise ConfigurationError(str(error)) from error

    def is_snapshot_due(self) -> bool:
        """Whether a snapshot of the present state is due; ask once a step."""
        return self._keeper.is_due(self.state.position.step)

    def is_save_due(self) -> bool:
        """Whether a save of the present state is due; ask once a step."""
        return self._keeper.is_save_due(self.state.position.step)

    def snapshot(self) -> None:
        """Put the present state into memory, if there is memory for it."""
        self._keeper.snapshot(self.state.position.step, **self._description())

    def save(self, kind: Kind) -> None:
        """Save the present state to the disk while training goes on; `tell_news` says how it ended.

        Raises SaveFailed if memory has no room and the disk fails.
        """
        taken = self._save(kind, wait=False)
        if taken.saved is not None:
            self._require(taken.saved)

    def save_now(self, kind: Kind) -> Path:
        """Save the present state; returns once it is on the disk. Raises SaveFailed."""
        taken = self._save(kind, wait=True)
        assert taken.saved is not None
        self._require(taken.saved)
        return self.directory / taken.saved.path.name

    def tell_news(self) -> None:
        """Log how saves ended, and prune after each that succeeded."""
        for saved in self._keeper.news():
            self._note(saved)
            if saved.ok:
                self.prune()
            else:
                self.log.say(_failure(saved))

    def drain(self) -> None:
        """Return once no save waits for the disk any more, and log how they ended."""
        self._keeper.drain()
        self.tell_news()

    @property
    def is_on_its_way(self) -> bool:
        """Whether a save of the present step waits for the disk."""
        return self._keeper.newest_waiting_step == self.state.position.step

    def close(self) -> None:
        """Let go of the memory. Without a supervisor the newest state goes to the disk first."""
        self._keeper.close()

    def prune(self) -> None:
        """Remove all but the newest checkpoints, the last saved or resumed one, and pinned ones.

        Under a supervisor it does nothing: the supervisor prunes, and knows all pins.
        """
        if self.run.is_supervised:
            return
        ours = [path for path in list_checkpoints(self.directory) if (path / MANIFEST).exists()]
        pins = self.directory / ".supervisor" / "pins"
        for path in ours[self.config.keep :]:
            if path == self.last or (pins / path.name).exists():
                continue
            try:
                remove_path(path)
            except OSError as error:
                self.log.warn(f"{path} could not be removed: {error}")

    def _save(self, kind: Kind, *, wait: bool) -> Taken:
        step = self.state.position.step
        self._kinds[step] = kind
        with self.run.phase("save"):
            return self._keeper.save(step, kind=kind, wait=wait, **self._description())

    def _require(self, saved: Saved) -> None:
        self._note(saved)
        if not saved.ok:
            raise SaveFailed(_failure(saved))

    def _note(self, saved: Saved) -> None:
        kind = self._kinds.pop(saved.step, Kind.PERIODIC)
        if not saved.ok:
            return
        path = self.directory / saved.path.name
        self.last, self.last_step = path, saved.step
        self.log.say(
            f"saved {path} ({kind.value}, step {saved.step}, {saved.bytes / 1e6:.1f} MB,"
            f" {saved.seconds:.2f} s)"
        )
        if saved.finite is False:
            self.log.warn(f"{path} holds weights that are not finite")

    def _description(self) -> dict[str, Any]:
        """The description of a checkpoint at the present position, beside its states."""
        position = self.state.position
        return {
            "epoch": current_epoch(position),
            "name": checkpoint_name(position, name_epochs=self.config.every_epoch),
            "state": describe_position(
                position, self.data, evaluation_due=self.state.evaluation_due
            ),
            "before": (self.metrics_file,),
        }

    def _sources(self) -> dict[str, Any]:
        state = self.state
        sources: dict[str, Any] = {
            MODEL_FILE: _Weights(state.model),
            OPTIMIZER_FILE: state.optimizer,
            SCHEDULER_FILE: state.schedule,
            RANDOM_FILE: randomness.capture,
        }
        if state.ema is not None:
            sources[EMA_FILE] = state.ema
        if state.scaler is not None:
            sources[SCALER_FILE] = state.scaler
        return sources


def _failure(saved: Saved) -> str:
    if saved.outcome == "replaced":
        return f"the checkpoint of step {saved.step} was not saved: {saved.error}"
    # keep this line as it is: the supervisor looks for it in the log
    return f"checkpoint save FAILED step={saved.step} path={saved.path} error={saved.error}"
