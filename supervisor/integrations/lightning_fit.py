"""One fit of Lightning as a training of the supervisor: its steps, saves, stop and resume.

An error in here turns the adapter off for this fit, and is told; it never reaches the training.
"""

from __future__ import annotations

import functools
import inspect
import os
import zipfile
from contextlib import contextmanager
from math import isfinite
from weakref import WeakKeyDictionary

from . import hook
from .lightning_state import (
    KEY,
    VERSION,
    DataPlace,
    follow_metrics,
    of_all_ranks,
    random_state,
    restart_validation,
    restore_schedules,
)
from .training import Training

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

# A fit that adds up gradients stops at the next optimizer step, at most so many batches later.
_MOST_BATCHES_WAITED = 64
_RANDOMNESS = "_randomness_at_iter"
_TUNERS = ("LearningRateFinder", "BatchSizeFinder")

_current: list[LightningFit] = []
# The dirpath that Lightning chose for a ModelCheckpoint of which the script named none.
_chosen_dirpaths: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def begin(trainer: Any, version: str) -> LightningFit | None:
    """Return the fit that begins now; None if it is not to be supervised. Never raises.

    Not supervised are a tuner's fits, `fast_dev_run`, and fits inside of another one.
    """
    try:
        if _current or not os.environ.get("SUPERVISOR_HEARTBEAT"):
            return None
        if trainer.fast_dev_run or any(map(_is_a_tuner, trainer.callbacks)):
            return None
        with _ranks_in_environment(trainer):
            training = Training("lightning", version, _directory(trainer), None, is_place=False)
        if not training.is_supervised:
            return None
        _current.append(LightningFit(trainer, training))
        return _current[0]
    except Exception as error:
        hook.tell(f"the adapter for lightning is off: {type(error).__name__}: {error}")
        return None


def close(fit: LightningFit) -> None:
    """Forget a fit that has ended, however it ended."""
    _current.remove(fit)


def current(trainer: Any) -> LightningFit | None:
    """Return the supervised fit that this trainer runs now."""
    return _current[0] if _current and _current[0].trainer is trainer else None


def note_randomness(fetcher: Any) -> None:
    """Keep the random state with which a fetcher begins its loaders."""
    if _current:
        _current[0].note_randomness(fetcher)


def note_metrics(metrics: Any) -> None:
    """Keep the loss of what Lightning has brought to the host for its loggers."""
    if _current and isinstance(metrics, dict):
        _current[0].note_metrics(metrics)


def _is_a_tuner(callback: Any) -> bool:
    """Whether a callback searches for a value and then ends the fit: `Tuner` put it there."""
    names = {kind.__name__ for kind in type(callback).__mro__}
    return not names.isdisjoint(_TUNERS) and bool(getattr(callback, "_early_exit", False))


@contextmanager
def _ranks_in_environment(trainer: Any) -> Iterator[None]:
    """Name the ranks as torchrun would, while the process attaches: Lightning does not."""
    words: dict[str, Any] = {}
    if trainer.world_size > 1:
        words = {
            "RANK": trainer.global_rank,
            "LOCAL_RANK": trainer.local_rank,
            "WORLD_SIZE": trainer.world_size,
            "LOCAL_WORLD_SIZE": trainer.num_devices,
        }
    added = {name: str(value) for name, value in words.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _directory(trainer: Any) -> str:
    """What names this training in each attempt: `version_K` is another one at each start."""
    for callback in trainer.checkpoint_callbacks:
        dirpath = getattr(callback, "dirpath", None)
        if dirpath and dirpath != _chosen_dirpaths.get(callback):
            return str(dirpath)
    for logger in trainer.loggers:
        if logger.save_dir:
            return str(logger.save_dir)
    return str(trainer.default_root_dir)


def tells(method: Any) -> Any:
    """Have an error of the adapter told, and the adapter turned off for this fit."""

    @functools.wraps(method)
    def guarded(self: LightningFit, *args: Any, **kwargs: Any) -> Any:
        if self.is_off:
            return None
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            self.is_off = True
            self.training.tell(
                f"the adapter for lightning is off from {method.__name__} on:"
                f" {type(error).__name__}: {error}"
            )
            return None

    return guarded


class LightningFit:
    """A fit that is under way."""

    def __init__(self, trainer: Any, training: Training) -> None:
        self.trainer = trainer
        self.training = training
        self.is_off = False
        self._is_several_nodes = trainer.num_nodes > 1
        self._is_saving = False
        self._leaves_validation = False
        self._resumed: str | None = None
        self._position: dict[str, Any] | None = None
        self._ended_epoch: int | None = None
        self._loss: float | None = None
        self._last_step = -1
        self._batches_waited = 0
        self._places: set[str] = set()
        self._root = _directory(trainer)
        self._named = {
            callback: getattr(callback, "dirpath", None)
            for callback in trainer.checkpoint_callbacks
        }

    def with_checkpoint(
        self, fit: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of `_fit_impl`, with the checkpoint to go on from."""
        return self._with_checkpoint(fit, args, kwargs) or (args, kwargs)

    @tells
    def _with_checkpoint(
        self, fit: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        bound = inspect.signature(fit).bind(self.trainer, *args, **kwargs)
        asked = bound.arguments.get("ckpt_path")
        connector = self.trainer._checkpoint_connector
        if asked is None and connector._user_managed:
            asked = connector._ckpt_path
        if asked == "best":
            return None
        inject, path = self.training.resume_path(None if asked in ("last", "hpc") else asked)
        if not inject or path is None:
            return None
        if not _holds_optimizers(path):
            self.training.tell(
                f"{path} holds weights only (save_weights_only): training cannot go on from it,"
                " and begins as the script says"
            )
            self.training.describe(resumed_from=None)
            return None
        connector._user_managed = False
        bound.arguments["ckpt_path"] = self._resumed = path
        if (
            "weights_only" in bound.signature.parameters
            and bound.arguments.get("weights_only") is None
        ):
            others = _other_types(path)
            if others and self.training.is_own(path):
                # The script's own objects, which this run has written.
                bound.arguments["weights_only"] = False
        return bound.args[1:], bound.kwargs

    @tells
    def is_set_up(self) -> None:
        """Say where Lightning saves; called once callbacks are set up and the model is loaded."""
        for callback, named in self._named.items():
            dirpath = getattr(callback, "dirpath", None)
            if dirpath and not named:
                _chosen_dirpaths[callback] = os.fspath(dirpath)
        self._tell_place(self._checkpoint_folder())
        connector = self.trainer._checkpoint_connector
        if self._resumed is not None and not connector._loaded_checkpoint:
            # A LearningRateFinder among the callbacks has loaded its own; the fit would begin anew.
            connector.resume_start(self._resumed)

    def _checkpoint_folder(self) -> str:
        for callback in self.trainer.checkpoint_callbacks:
            if getattr(callback, "dirpath", None):
                return str(callback.dirpath)
        return os.path.join(os.fspath(self.trainer.default_root_dir), "checkpoints")

    def _tell_place(self, folder: str) -> None:
        if "://" not in folder and folder not in self._places:
            self._places.add(folder)
            self.training.describe(checkpoint_dir=folder)

    @tells
    def training_starts(self) -> None:
        """Say how many steps there will be, and go on in the data where the checkpoint was."""
        total = self.trainer.max_steps
        if self.trainer.lightning_module.automatic_optimization:
            total = self.trainer.estimated_stepping_batches  # the loader is there by now
        if isfinite(total) and total > 0:
            self.training.describe(total_steps=int(total))
        if self._resumed is not None:
            if self._position is not None:
                restore_schedules(self.trainer, self._position["metrics"], self._ended_epoch)
            DataPlace(self.trainer, self._position).restore(self.training.tell)

    @tells
    def epoch_ends(self) -> None:
        """Have the schedules that follow a metric go on, also in the epoch that was resumed."""
        if self._position is not None:
            self._position = None
            follow_metrics(self.trainer)

    def ends_batch(self, batch_idx: int) -> bool:
        """Take in that a batch is done. True if the process has to save and leave here."""
        return bool(self._ends_batch(batch_idx))

    @tells
    def _ends_batch(self, batch_idx: int) -> bool:
        trainer = self.trainer
        step = trainer.global_step
        self.training.beat(step, trainer.current_epoch, self._loss)
        has_stepped, self._last_step = step != self._last_step, step
        if not self.training.should_stop or self._is_several_nodes:
            return False
        self._batches_waited += 1
        if not has_stepped and self._batches_waited <= _MOST_BATCHES_WAITED:
            return False  # gradients are being added up; no checkpoint has them
        # What comes after the last batch of an epoch, and a validation that is due, is lost by a
        # save here. So it is done, or begun, before the save.
        fit_loop = trainer.fit_loop
        return not (
            fit_loop.epoch_loop._num_ready_batches_reached()
            or fit_loop.epoch_loop._should_check_val_fx(fit_loop._data_fetcher)
            or (trainer.should_stop and fit_loop._can_stop_early)
        )

    @tells
    def ends_validation_batch(self) -> None:
        """Take in that a batch of a validation is done; save and leave if that is asked for."""
        self.training.beat(self.trainer.global_step, self.trainer.current_epoch, self._loss)
        if self.training.should_stop and not self._is_several_nodes:
            self._leaves_validation = True
            self.leave()

    def leave(self) -> None:
        """Save, and end this process with 75."""
        trainer = self.trainer
        name = f"stop-epoch={trainer.current_epoch}-step={trainer.global_step}"
        name += f"-attempt={os.environ.get('SUPERVISOR_ATTEMPT', 1)}.ckpt"
        path: str | None = os.path.join(self._checkpoint_folder(), name)
        try:
            trainer.save_checkpoint(path)
        except Exception as error:
            self.training.tell(f"the stop has saved nothing: {type(error).__name__}: {error}")
            path = None
        # They would save once more, at the exception that ends the process.
        savers = trainer.checkpoint_callbacks
        trainer.callbacks = [callback for callback in trainer.callbacks if callback not in savers]
        try:
            self.training.stop(path, trainer.global_step)
        except SystemExit:
            environment = type(trainer._accelerator_connector.cluster_environment).__name__
            if trainer.local_rank > 0 and environment == "LightningEnvironment":
                # Lightning's launcher kills all ranks if one ends with another code.
                raise SystemExit(0) from None
            raise

    @tells
    def begin_save(self) -> None:
        """Take in that a checkpoint is being saved."""
        self._is_saving = True
        self.training.enter("save")

    @tells
    def end_save(self, filepath: Any, *, is_whole: bool) -> None:
        """Take in that it is saved."""
        self._is_saving = False
        self.training.leave()
        path = os.fspath(filepath)
        if "://" in path or os.path.basename(path).startswith("."):
            return  # the tuners' own are hidden files, which they delete
        if is_whole:
            self.training.saved(path, self.trainer.global_step)
            self._tell_place(os.path.dirname(os.path.abspath(path)))
        for callback in self.trainer.checkpoint_callbacks:
            best = getattr(callback, "best_model_path", "")
            if getattr(callback, "monitor", None) and best and "://" not in best:
                self.training.describe(best=best)

    @tells
    def add_position(self, checkpoint: dict[str, Any]) -> None:
        """Add to a checkpoint what Lightning leaves out of it."""
        if not self._is_saving:
            return
        fit_loop = self.trainer.fit_loop
        combined = fit_loop._combined_loader
        loaders = [] if combined is None else list(combined.flattened)
        now = random_state(loaders)
        if self._leaves_validation:
            fetcher = fit_loop.epoch_loop.val_loop._data_fetcher
            now = {**getattr(fetcher, _RANDOMNESS, now), "loaders": now["loaders"]}
        epoch = getattr(fit_loop._data_fetcher, _RANDOMNESS, None)
        states = of_all_ranks({"now": now, "epoch": epoch}, self.trainer.world_size)
        checkpoint[KEY] = {
            "version": VERSION,
            "world_size": self.trainer.world_size,
            **{name: [state[name] for state in states] for name in ("now", "epoch")},
            "validation": self._leaves_validation or self._is_validation_next(),
            # Those that were asked for since they were computed; nothing is computed here.
            "metrics": dict(self.trainer._logger_connector._callback_metrics),
        }

    def _is_validation_next(self) -> bool:
        """Whether a save at the end of a batch comes before a validation that is due."""
        fit_loop = self.trainer.fit_loop
        current = fit_loop.epoch_loop.batch_progress.current
        is_at_batch_end = current.processed == current.completed + 1 and self.trainer.training
        return is_at_batch_end and bool(
            fit_loop.epoch_loop._should_check_val_fx(fit_loop._data_fetcher)
        )

    @tells
    def take_position(self, checkpoint: dict[str, Any]) -> None:
        """Keep what `add_position` added, if this is the checkpoint that the fit goes on from."""
        position = checkpoint.get(KEY)
        if self._resumed is None or self.trainer.ckpt_path != self._resumed or not position:
            return
        self._position = position
        loops = checkpoint["loops"]["fit_loop"]
        if position["validation"]:
            restart_validation(loops)
        current = loops["epoch_progress"]["current"]
        if current["ready"] == current["processed"] == current["completed"] + 1:
            self._ended_epoch = current["completed"]

    @tells
    def note_randomness(self, fetcher: Any) -> None:
        """Keep the random state with which a fetcher begins its loaders."""
        setattr(fetcher, _RANDOMNESS, random_state(list(fetcher.combined_loader.flattened)))

    def note_metrics(self, metrics: dict[str, Any]) -> None:
        """Keep the loss among values for the loggers."""
        for name, value in metrics.items():
            word = str(name).lower()
            if "loss" in word and isinstance(value, float) and not word.startswith(("val", "test")):
                self._loss = value
                return

    @tells
    def end(self) -> None:
        """Say that the fit came to its own end."""
        self.training.end()


def _holds_optimizers(path: str) -> bool:
    """Whether a checkpoint has what a fit goes on from; True if it is not a file of torch.save."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            return not names or b"optimizer_states" in archive.read(names[0])
    except (OSError, zipfile.BadZipFile):
        return True


def _other_types(path: str) -> list[str]:
    """The types in a checkpoint that torch loads only if it is trusted."""
    import torch.serialization

    ask = getattr(torch.serialization, "get_unsafe_globals_in_checkpoint", None)
    if ask is None or not os.path.isfile(path):
        return []
    return list(ask(path))
