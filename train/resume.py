"""Finds and loads a checkpoint. All files are read, and weights checked, before anything changes.

It must write nothing.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from supervisor.checkpoint.format import MANIFEST, TRAINING_STATE
from supervisor.checkpoint.validate import is_resumable, validate
from train import randomness
from train.data import TrainingData
from train.errors import ConfigurationError, TrainingError
from train.log import Log
from train.position import FoundPosition, find_position
from train.state import TrainingState
from train.weights import apply_weights, fit_optimizer, fit_weights

MODEL_FILE = "model.pt"
OPTIMIZER_FILE = "optimizer.pt"
SCHEDULER_FILE = "scheduler.pt"
EMA_FILE = "ema_model.pt"
SCALER_FILE = "scaler.pt"
RANDOM_FILE = "random_state.pt"
_NAME = re.compile(r"checkpoint-(epoch-)?(\d{1,18})", re.ASCII)


def list_checkpoints(directory: Path) -> list[Path]:
    """All directories named like checkpoints, those with the most steps first."""
    found: list[tuple[int, str, Path]] = []
    if directory.is_dir():
        for path in directory.iterdir():
            match = _NAME.fullmatch(path.name)
            if match is not None and path.is_dir():
                found.append((_steps_of(path, match), path.name, path))
    return [path for _, _, path in sorted(found, reverse=True)]


def steps_of(path: Path) -> int:
    """Optimizer steps in a checkpoint, by its training_state.json or its name; -1 if unknown."""
    match = _NAME.fullmatch(path.name)
    return -1 if match is None else _steps_of(path, match)


def _steps_of(path: Path, match: re.Match[str]) -> int:
    try:
        step = json.loads((path / TRAINING_STATE).read_bytes())["global_step"]
        return int(step)
    except (OSError, ValueError, TypeError, KeyError):
        # `validate` judges a damaged file; here it only gets a place in the order
        return -1 if match[1] else int(match[2])


def newest_valid(directory: Path, log: Log) -> Path | None:
    """The newest checkpoint that is proven good; None if the directory has no checkpoint.

    Raises TrainingError if it has checkpoints and none is good: a start from nothing would lose
    them without the user's consent.
    """
    candidates = list_checkpoints(directory)
    for path in candidates:
        verdict = validate(path)
        if is_resumable(verdict):
            return path
        log.warn(f"passing over {path}: {verdict.reason}")
    if candidates:
        raise TrainingError(
            f"none of the {len(candidates)} checkpoints in {directory} is valid; --fresh sets them"
            " aside and starts over"
        )
    return None


@dataclass(slots=True)
class _Files:
    """The content of a checkpoint, on the CPU."""

    model: Any
    optimizer: Any
    scheduler: Any | None
    ema: Any | None
    scaler: Any | None
    random: Any | None
    warnings: list[str] = field(default_factory=list)


def load_checkpoint(
    path: Path, state: TrainingState, data: TrainingData, log: Log, *, is_checked: bool
) -> None:
    """Put `state`, the random numbers and the position back to where the checkpoint left them.

    `is_checked`: the supervisor has validated it just now. Raises TrainingError if it is missing or
    damaged, ConfigurationError if it does not fit the configured model.
    """
    require_directory(path)
    if not is_checked:
        _verify(path, log)
    files = _read(path, state)
    found = find_position(path, data)
    _apply(path, files, found, state)
    for warning in (*files.warnings, *found.warnings):
        log.warn(warning)


def _verify(path: Path, log: Log) -> None:
    """Compare the files with their manifest, if there is one. Raises TrainingError.

    `auto`, `latest` or the user chose this checkpoint, so it is used unless it is proven damaged. A
    checkpoint that is not proven gets a warning.
    """
    if not (path / MANIFEST).exists() or not (path / TRAINING_STATE).exists():
        log.warn(f"{path} is not proven: this trainer did not write it, or not all of it")
        return
    verdict = validate(path)
    if verdict.valid is False:
        raise TrainingError(
            f"the checkpoint {path} is damaged: {verdict.reason}."
            f" If you changed it on purpose, remove its {MANIFEST}"
        )
    if verdict.reason is not None:
        log.warn(f"{path}: {verdict.reason}")


def require_directory(path: Path) -> None:
    """Raise TrainingError with the path unless it is a directory."""
    if not path.exists():
        raise TrainingError(f"the checkpoint {path} does not exist")
    if not path.is_dir():
        raise TrainingError(f"the checkpoint {path} is a file: a checkpoint is a directory")


def _read(path: Path, state: TrainingState) -> _Files:
    files = _Files(
        model=_load(path / MODEL_FILE),
        optimizer=_load(path / OPTIMIZER_FILE),
        scheduler=_load_optional(path / SCHEDULER_FILE),
        ema=_load_optional(path / EMA_FILE) if state.ema is not None else None,
        scaler=_load_optional(path / SCALER_FILE) if state.scaler is not None else None,
        random=_load_optional(path / RANDOM_FILE),
    )
    if state.ema is not None and files.ema is None:
        files.warnings.append(f"{path / EMA_FILE} does not exist: EMA starts from the weights")
    if files.scheduler is None:
        files.warnings.append(
            f"{path / SCHEDULER_FILE} does not exist: the schedule's position follows from the step"
        )
    if state.scaler is not None and files.scaler is None:
        files.warnings.append(f"{path / SCALER_FILE} does not exist: the loss scale starts anew")
    return files


def _apply(path: Path, files: _Files, found: FoundPosition, state: TrainingState) -> None:
    """Check the weights, averages and optimizer state; then change the training state.

    Raises ConfigurationError before the first change.
    """
    for name, content in ((MODEL_FILE, files.model), (EMA_FILE, files.ema)):
        if content is not None and not isinstance(content, dict):
            raise ConfigurationError(f"{path / name} holds a {type(content).__name__}, not weights")
    weights = fit_weights(files.model, state.model.state_dict(), str(path / MODEL_FILE))
    optimizer = fit_optimizer(files.optimizer, state.optimizer, str(path / OPTIMIZER_FILE))
    averages = None
    if state.ema is not None and files.ema is not None:
        averages = fit_weights(files.ema, state.ema.weights, str(path / EMA_FILE))
    apply_weights(state.model, weights)
    state.optimizer.load_state_dict(optimizer)
    state.schedule.position = found.position.step
    if files.scheduler is not None:
        try:
            state.schedule.load_state_dict(files.scheduler)
        except (KeyError, TypeError, ValueError):
            files.warnings.append(
                f"{path / SCHEDULER_FILE} names no position: the position follows from the step"
            )
    if state.ema is not None:
        # also before averages are loaded: another trainer's file may lack buffers
        state.ema.restart()
        state.ema.load(averages or {})
    if state.scaler is not None and files.scaler is not None:
        state.scaler.load_state_dict(files.scaler)
    state.position = found.position
    state.evaluation_due = found.evaluation_due
    if files.random is None:
        files.warnings.append(
            f"{path / RANDOM_FILE} does not exist: random numbers (dropout) start from the seed,"
            " so training goes on, but not bit for bit as before"
        )
    else:
        for left_out in randomness.restore(files.random):
            files.warnings.append(f"random-number state not restored: {left_out}")


def _load_optional(path: Path) -> Any | None:
    return _load(path) if path.exists() else None


def _load(path: Path) -> Any:
    try:
        # to the CPU first: this machine may lack the device that it was saved from
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise TrainingError(f"the checkpoint is incomplete: {path} does not exist") from error
    except Exception as error:
        # a damaged pickle can raise anything
        raise TrainingError(f"{path} cannot be loaded: {error!r}") from error
