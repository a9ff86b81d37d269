"""Where a fit of Lightning may stop, and how it does: a save, and the end of the process.

Never by `trainer.should_stop`: the script would then go on to its tests, with exit code 0.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from .training import Training

HOOK_LEFT_OUT = (
    "Lightning saved before the module's on_train_batch_end of that batch, and does not run it"
    " again: what it changes is as before"
)


def is_before_a_batch(trainer: Any) -> bool:
    """Whether, after this batch, nothing comes but the next one.

    The end of an epoch, and a validation that is due, would be left out by a fit that goes on from
    a save here. So they are begun before the save.
    """
    fit_loop = trainer.fit_loop
    return not (
        fit_loop.epoch_loop._num_ready_batches_reached()
        or fit_loop.epoch_loop._should_check_val_fx(fit_loop._data_fetcher)
        or (trainer.should_stop and fit_loop._can_stop_early)
    )


def is_before_a_validation(trainer: Any) -> bool:
    """Whether a save now, at the end of a batch, comes before a validation that is due."""
    fit_loop = trainer.fit_loop
    return _is_at_batch_end(trainer) and bool(
        fit_loop.epoch_loop._should_check_val_fx(fit_loop._data_fetcher)
    )


def changes_after_batches(trainer: Any) -> bool:
    """Whether the module has an `on_train_batch_end` that comes after a save now."""
    hook = getattr(type(trainer.lightning_module), "on_train_batch_end", None)
    is_own = not str(getattr(hook, "__module__", "")).endswith(".core.hooks")
    return _is_at_batch_end(trainer) and is_own


def _is_at_batch_end(trainer: Any) -> bool:
    current = trainer.fit_loop.epoch_loop.batch_progress.current
    return bool(current.processed == current.completed + 1 and trainer.training)


def save_and_leave(trainer: Any, training: Training, folder: str) -> None:
    """Save into the folder, and end this process with 75; all ranks do so at the same place."""
    name = f"stop-epoch={trainer.current_epoch}-step={trainer.global_step}"
    name += f"-attempt={os.environ.get('SUPERVISOR_ATTEMPT', 1)}.ckpt"
    path: str | None = os.path.join(folder, name)
    try:
        trainer.save_checkpoint(path)
    except Exception as error:
        training.tell(f"the stop has saved nothing: {type(error).__name__}: {error}")
        path = None
    _leave(trainer, training, path)


def leave_evaluation(trainer: Any, training: Training, place: int) -> None:
    """Leave a test, validation or prediction after the training, if a stop was asked for.

    Nothing is saved: the training has ended. `place` counts the batches.
    """
    if training.leaves_inside(place, proposes=training.is_asked):
        training.tell("stopped in an evaluation after the training, which is run again")
        _leave(trainer, training, None)


def _leave(trainer: Any, training: Training, path: str | None) -> NoReturn:
    # They would save once more, at the exception that ends the process.
    savers = trainer.checkpoint_callbacks
    trainer.callbacks = [callback for callback in trainer.callbacks if callback not in savers]
    try:
        training.stop(path, trainer.global_step)
    except SystemExit:
        environment = type(trainer._accelerator_connector.cluster_environment).__name__
        if trainer.local_rank > 0 and environment == "LightningEnvironment":
            # Lightning's launcher kills all ranks if one ends with another code.
            raise SystemExit(0) from None
        raise
