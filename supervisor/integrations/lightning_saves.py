"""What a fit of Lightning does: how many steps, how often it saves, and what is not restored."""

from __future__ import annotations

from math import ceil, isfinite

from .save_facts import describe_saves

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .training import Training


def describe_fit(trainer: Any, training: Training) -> None:
    """Describe the fit as its first batch is next: its loaders are there by now."""
    total = trainer.max_steps
    if trainer.lightning_module.automatic_optimization:
        total = trainer.estimated_stepping_batches
    if isfinite(total) and total > 0:
        training.describe(total_steps=int(total))
    describe_saves(training, lambda: (*save_interval(trainer), not_restored(trainer)))


def save_interval(trainer: Any) -> tuple[int | None, float | None]:
    """Steps and seconds between two saves that can be resumed from, as the callbacks say.

    0 steps: there are none. None: not known.
    """
    steps: list[int] = []
    seconds: list[float] = []
    is_known = True
    for callback in trainer.checkpoint_callbacks:
        if not _is_resumable(callback):
            continue
        found = _steps_of(callback, trainer)
        interval = getattr(callback, "_train_time_interval", None)
        if interval is not None and interval.total_seconds() > 0:
            seconds.append(interval.total_seconds())
        elif found is None:
            is_known = False
        else:
            steps.append(found)
    if steps or seconds:
        return min(steps, default=None), min(seconds, default=None)
    return (0 if is_known else None), None


def not_restored(trainer: Any) -> list[str]:
    """What a resume of this fit does not restore."""
    notes = []
    if any(getattr(each, "save_weights_only", False) for each in trainer.checkpoint_callbacks):
        notes.append("save_weights_only: those checkpoints have no optimizer, and are not resumed")
    loaders = list(trainer.fit_loop._combined_loader.flattened)
    stateful = [hasattr(loader, "state_dict") for loader in loaders]
    if any(stateful) and not all(stateful):
        notes.append("the place inside an epoch: only one of several loaders has a state_dict")
    if any(getattr(loader, "persistent_workers", False) for loader in loaders):
        notes.append("random generators inside the persistent workers of a loader")
    notes.append("averages over an epoch (on_epoch=True) and metrics, inside an epoch")
    return notes


def _is_resumable(callback: Any) -> bool:
    if getattr(callback, "save_weights_only", False):
        return False
    return getattr(callback, "save_top_k", 1) != 0 or bool(getattr(callback, "save_last", None))


def _steps_of(callback: Any, trainer: Any) -> int | None:
    """Steps between two saves of a callback; None where they are not known."""
    if getattr(callback, "monitor", None) and getattr(callback, "save_top_k", 1) > 0:
        return None  # it saves where the metric is better than before
    every = getattr(callback, "_every_n_train_steps", None)
    if every:
        return int(every)
    epochs = getattr(callback, "_every_n_epochs", 0)
    batches = trainer.num_training_batches
    if not epochs or not isfinite(batches) or not trainer.lightning_module.automatic_optimization:
        return None
    in_epoch: int = ceil(batches / trainer.accumulate_grad_batches)
    if callback._should_save_on_train_epoch_end(trainer):
        return in_epoch * int(epochs)
    validated = trainer.val_check_batch
    if epochs == 1 and isfinite(validated) and validated < batches:
        return int(max(ceil(validated / trainer.accumulate_grad_batches), 1))
    return in_epoch * max(int(epochs), int(trainer.check_val_every_n_epoch or 1))
