"""A checkpoint's position in the data; reads training_state.json, ours and other trainers'.

It must not touch weights.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.checkpoint.format import FORMAT, TRAINING_STATE
from train.data import TrainingData
from train.errors import TrainingError
from train.log import counted
from train.state import Position

_EPOCH_NAME = re.compile(r"checkpoint-epoch-(\d{1,18})", re.ASCII)
_STEP_NAME = re.compile(r"checkpoint-(\d{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class FoundPosition:
    """Where training goes on, with warnings about what had to be inferred."""

    position: Position
    evaluation_due: bool
    warnings: tuple[str, ...]


def current_epoch(position: Position) -> int:
    """The epoch, from 0, that the last step belongs to."""
    return position.epoch - 1 if position.batch == 0 and position.epoch > 0 else position.epoch


def checkpoint_name(position: Position, *, name_epochs: bool) -> str:
    """`checkpoint-epoch-N` after N whole epochs, else `checkpoint-N` after N optimizer steps."""
    if name_epochs and position.batch == 0 and position.epoch > 0:
        return f"checkpoint-epoch-{position.epoch}"
    return f"checkpoint-{position.step}"


def describe_position(
    position: Position, data: TrainingData, *, evaluation_due: bool
) -> dict[str, Any]:
    """The content of training_state.json."""
    return {
        "format": FORMAT,
        "global_step": position.step,
        "current_epoch": current_epoch(position),
        "next_epoch": position.epoch,
        "next_batch": position.batch,
        "data": {"samples": data.samples, "batch_size": data.config.batch_size, "seed": data.seed},
        "evaluation_due": evaluation_due,
    }


def find_position(directory: Path, data: TrainingData) -> FoundPosition:
    """Read training_state.json, or infer its values.

    Without the file the directory's name decides (`checkpoint-epoch-N`, `checkpoint-N`). If the
    name has no number either, training starts at epoch 0. Raises TrainingError if the file is
    damaged.
    """
    path = directory / TRAINING_STATE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return _from_name(directory, data)
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error.strerror}") from error
    try:
        saved = json.loads(content)
        step = _count(saved, "global_step")
        if "next_epoch" in saved:
            return _from_ours(saved, step, data)
        epoch = _count(saved, "current_epoch") if "current_epoch" in saved else None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TrainingError(f"{path} is damaged: {error}") from error
    return _from_foreign(directory.name, step, epoch, data)


def _from_ours(saved: dict[str, Any], step: int, data: TrainingData) -> FoundPosition:
    epoch, batch = _count(saved, "next_epoch"), _count(saved, "next_batch")
    layout = saved["data"]
    here = {"samples": data.samples, "batch_size": data.config.batch_size, "seed": data.seed}
    changed = [
        f"{name} was {layout.get(name)}, is {value}"
        for name, value in here.items()
        if layout.get(name) != value
    ]
    warnings: list[str] = []
    if changed:
        warnings.append(
            f"the data order differs from the checkpoint's ({'; '.join(changed)}): training goes"
            " on, but some samples of this epoch may come twice or not at all"
        )
        batch = batch * _count(layout, "batch_size") // data.config.batch_size
    position = _within_epoch(step, epoch, batch, data)
    return FoundPosition(position, bool(saved.get("evaluation_due")), tuple(warnings))


def _from_foreign(name: str, step: int, epoch: int | None, data: TrainingData) -> FoundPosition:
    """The position of a checkpoint from another trainer, whose file has a step and maybe an epoch.

    The batch follows from the number of steps in an epoch. Without an epoch in the file, the epoch
    follows from that number as well.
    """
    if epoch is None:
        position = _at_step(step, data)
        warning = f"{TRAINING_STATE} names no current_epoch: epoch {position.epoch} is assumed"
        return FoundPosition(position, False, (warning,))
    finished = _EPOCH_NAME.fullmatch(name)
    if finished is not None and int(finished[1]) == epoch + 1:
        return FoundPosition(Position(step, epoch + 1, 0), False, ())
    steps_inside = step - epoch * data.steps_per_epoch
    if 0 <= steps_inside <= data.steps_per_epoch:
        batch = steps_inside * data.accumulation
        return FoundPosition(_within_epoch(step, epoch, batch, data), False, ())
    warning = (
        f"step {step} does not lie in epoch {epoch} with {counted(data.steps_per_epoch, 'step')} an"
        f" epoch: the batch is not known, and epoch {epoch} starts from its beginning"
    )
    return FoundPosition(Position(step, epoch, 0), False, (warning,))


def _from_name(directory: Path, data: TrainingData) -> FoundPosition:
    missing = f"{directory / TRAINING_STATE} does not exist"
    if match := _EPOCH_NAME.fullmatch(directory.name):
        epoch = int(match[1])
        position = Position(epoch * data.steps_per_epoch, epoch, 0)
        warning = f"{missing}: epoch {epoch} is inferred from the directory's name"
    elif match := _STEP_NAME.fullmatch(directory.name):
        position = _at_step(int(match[1]), data)
        warning = (
            f"{missing}: step {position.step} is inferred from the directory's name; with"
            f" {counted(data.steps_per_epoch, 'step')} an epoch, that is in epoch {position.epoch}"
        )
    else:
        position = Position()
        warning = (
            f"{missing}, and the directory's name says no epoch: training starts at epoch 0 and"
            " keeps the model and optimizer state"
        )
    return FoundPosition(position, False, (warning,))


def _at_step(step: int, data: TrainingData) -> Position:
    epoch, inside = divmod(step, data.steps_per_epoch)
    return Position(step, epoch, inside * data.accumulation)


def _within_epoch(step: int, epoch: int, batch: int, data: TrainingData) -> Position:
    """A position in the epoch, or the next epoch's start if less than one step is left."""
    if batch + data.accumulation > data.batches_per_epoch:
        return Position(step, epoch + 1, 0)
    return Position(step, epoch, batch)


def _count(saved: dict[str, Any], key: str) -> int:
    value = saved[key]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{key} is {value!r}")
    return value
