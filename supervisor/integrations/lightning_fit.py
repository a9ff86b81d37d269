"""One fit of Lightning as a training of the supervisor: its steps, saves, stop and resume.

An error in here turns the adapter off for this fit, and is told; it never reaches the training.
"""

from __future__ import annotations

import inspect
import os

from . import hook, wandb_run
from .lightning_guard import tells
from .lightning_ranks import RankStates, bring_world_up
from .lightning_saves import describe_fit
from .lightning_start import (
    CheckpointFolders,
    is_trial,
    name_of,
    put_checkpoint,
    ranks_in_environment,
)
from .lightning_state import (
    KEY,
    RANDOMNESS,
    VERSION,
    DataPlace,
    FirstDraw,
    begin_next_epoch,
    follow_metrics,
    loaders_of,
    loss_and_norm,
    random_state,
    randomness_of,
    restart_validation,
    restore_schedules,
)
from .lightning_stop import (
    HOOK_LEFT_OUT,
    changes_after_batches,
    is_before_a_batch,
    is_before_a_validation,
    leave_evaluation,
    save_and_leave,
)
from .training import Training

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# A fit that adds up gradients stops at the next optimizer step, at most so many batches later.
_MOST_BATCHES_WAITED = 64

_current: list[LightningFit] = []
_ended: list[LightningFit] = []


def begin(trainer: Any, version: str) -> LightningFit | None:
    """Return the fit that begins now; None if it is not to be supervised. Never raises.

    Not supervised are a tuner's fits, `fast_dev_run`, and fits inside of another one.
    """
    try:
        if _current or not os.environ.get("SUPERVISOR_HEARTBEAT"):
            return None
        if is_trial(trainer):
            return None
        if hook.is_wanted("lightning"):
            bring_world_up(trainer)
        with ranks_in_environment(trainer):
            training = Training("lightning", version, name_of(trainer), None, is_place=False)
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
    _ended[:] = [fit]


def evaluates(trainer: Any) -> None:
    """Take in a batch of an evaluation outside of fits; leave if a stop was asked for."""
    if _ended and not _current:
        _ended[0].evaluates(trainer)


def current(trainer: Any = None) -> LightningFit | None:
    """Return the supervised fit of this process, or of this trainer, that is under way."""
    if not _current or trainer not in (None, _current[0].trainer):
        return None
    return _current[0]


class LightningFit:
    """A fit that is under way."""

    def __init__(self, trainer: Any, training: Training) -> None:
        self.trainer = trainer
        self.training = training
        self.is_off = False
        self._is_stopping = self._is_saving = self._leaves_validation = False
        self._place = 0
        self._resumed: str | None = None
        self._position: dict[str, Any] | None = None
        self._ended_epoch: int | None = None
        self._loss: float | None = None
        self._grad_norm: float | None = None
        self._last_step = -1
        self._batches_waited = 0
        self._places: set[str] = set()
        self._folders = CheckpointFolders(trainer)
        self._states = RankStates(training, trainer.global_rank, trainer.world_size)

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
        self._resumed = put_checkpoint(self.trainer, self.training, bound)
        return None if self._resumed is None else (bound.args[1:], bound.kwargs)

    @tells
    def is_set_up(self) -> None:
        """Say where Lightning saves; called once callbacks are set up and the model is loaded."""
        self._folders.note()
        self._tell_place(self._folders.first)
        connector = self.trainer._checkpoint_connector
        if self._resumed is not None and not connector._loaded_checkpoint:
            # A LearningRateFinder among the callbacks has loaded its own; the fit would begin anew.
            connector.resume_start(self._resumed)

    def _tell_place(self, folder: str) -> None:
        if "://" not in folder and folder not in self._places:
            self._places.add(folder)
            self.training.describe(checkpoint_dir=folder)

    @tells
    def is_restored(self) -> None:
        """See to a save at the end of an epoch, once all is loaded and nothing has run."""
        if self._resumed is not None and self._ended_epoch is not None:
            begin_next_epoch(self.trainer.fit_loop)

    @tells
    def training_starts(self) -> None:
        """Say how many steps there will be, and go on in the data where the checkpoint was."""
        self._last_step = self.trainer.global_step
        describe_fit(self.trainer, self.training)
        wandb_run.training_begins()
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
        self.training.beat(step, trainer.current_epoch, self._loss, self._grad_norm)
        has_stepped, self._last_step = step != self._last_step, step
        if has_stepped:
            self._place = 0
        if not self.training.should_stop:
            return False
        self._is_stopping = True
        self._batches_waited += 1
        if not has_stepped and self._batches_waited <= _MOST_BATCHES_WAITED:
            return False  # gradients are being added up; no checkpoint has them
        return is_before_a_batch(trainer)

    @tells
    def ends_validation_batch(self) -> None:
        """Take in that a batch of a validation is done; save and leave if that is asked for."""
        self.training.beat(self.trainer.global_step, self.trainer.current_epoch, self._loss)
        self._place += 1
        asks = self.training.is_asked
        if self._is_stopping or self.training.leaves_inside(self._place, proposes=asks):
            self._leaves_validation = True
            self.leave()

    @tells
    def evaluates(self, trainer: Any) -> None:
        """Take in a batch of an evaluation after this fit; leave if a stop was asked for."""
        self._place += 1
        leave_evaluation(trainer, self.training, self._place)

    def leave(self) -> None:
        """Save, and end this process with 75."""
        save_and_leave(self.trainer, self.training, self._folders.first)

    def begin_save(self) -> None:
        """Take in that a checkpoint is being saved."""
        self._is_saving = True
        self.training.enter("save")

    def end_save(self, filepath: Any, *, is_whole: bool) -> None:
        """Take in that it is saved."""
        self._is_saving = False
        self.training.leave()
        self._end_save(filepath, is_whole=is_whole)

    @tells
    def _end_save(self, filepath: Any, *, is_whole: bool) -> None:
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

    def add_position(self, checkpoint: dict[str, Any]) -> None:
        """Add to a checkpoint what Lightning leaves out of it; a rank that failed comes along."""
        if self._is_saving:
            self._add(checkpoint, self._states.of_all(self._randomness()))

    @tells
    def _randomness(self) -> dict[str, Any]:
        return randomness_of(self.trainer.fit_loop, in_validation=self._leaves_validation)

    @tells
    def _add(self, checkpoint: dict[str, Any], states: list[dict[str, Any] | None]) -> None:
        checkpoint[KEY] = {
            "version": VERSION,
            "world_size": self.trainer.world_size,
            **{name: [state and state[name] for state in states] for name in ("now", "epoch")},
            "validation": self._leaves_validation or is_before_a_validation(self.trainer),
            "is_hook_left_out": not self._is_stopping and changes_after_batches(self.trainer),
            # Those that were asked for since they were computed; nothing is computed here.
            "metrics": dict(self.trainer._logger_connector._callback_metrics),
        }

    @tells
    def take_position(self, checkpoint: dict[str, Any]) -> None:
        """Keep what `add_position` added, if this is the checkpoint that the fit goes on from."""
        position = checkpoint.get(KEY) or {}
        is_it = self._resumed is not None and self.trainer.ckpt_path == self._resumed
        if not is_it or position.get("version") != VERSION:
            return
        self._position = position
        loops = checkpoint["loops"]["fit_loop"]
        if position["validation"]:
            restart_validation(loops)
        if position["is_hook_left_out"]:
            self.training.tell(HOOK_LEFT_OUT)
        current = loops["epoch_progress"]["current"]
        if current["ready"] == current["processed"] == current["completed"] + 1:
            self._ended_epoch = current["completed"]

    @tells
    def note_randomness(self, fetcher: Any) -> None:
        """Keep the random state with which a fetcher begins its loaders."""
        setattr(fetcher, RANDOMNESS, {"iter": random_state(loaders_of(fetcher))})

    @tells
    def note_first_draw(self, fetcher: Any) -> None:
        """Keep the one with which it takes the first batch: a sampler draws its order then."""
        if fetcher.fetched == 0:
            fetcher.iterator = FirstDraw(fetcher, getattr(fetcher, RANDOMNESS, {}))

    @tells
    def note_metrics(self, metrics: Any) -> None:
        """Keep what Lightning has brought to the host for its loggers."""
        loss, norm = loss_and_norm(metrics)
        self._loss = self._loss if loss is None else loss
        self._grad_norm = self._grad_norm if norm is None else norm

    @tells
    def end(self) -> None:
        """Say that the fit came to its own end."""
        self.training.end(heeds_stops=True)
