"""One start of the trainer: from the config and the options to a Trainer that is ready to run."""

import os
from pathlib import Path

import torch

from supervisor.checkpoint import set_aside
from supervisor.checkpoint.commit import clean_staging
from supervisor.torch import settle
from supervisor.worker import Worker
from train.checkpointing import Checkpoints
from train.config import TrainConfig
from train.data import TrainingData, load_data
from train.errors import ConfigurationError, TrainingError
from train.log import Log, counted
from train.loop import Trainer
from train.metrics import Metrics
from train.resume import (
    list_checkpoints,
    load_checkpoint,
    newest_valid,
    require_directory,
    steps_of,
)
from train.state import TrainingState, build_state, prepare_torch


def start(
    config: TrainConfig, output_dir: Path, resume: str | None, run: Worker, *, fresh: bool
) -> Trainer:
    """Load data, model and checkpoint, and make the Trainer.

    It writes nothing before all of them are read, except that `settle` rescues a dead trainer's
    snapshot. Raises ConfigurationError and TrainingError.
    """
    log = Log()
    checkpoint = _choose_checkpoint(output_dir, resume, run, log, fresh=fresh)
    if checkpoint is not None:
        require_directory(checkpoint)
    device = prepare_torch(config)
    data = load_data(config)
    data.pin_memory = device.type == "cuda"
    state = build_state(config, data, device)
    if checkpoint is not None:
        load_checkpoint(checkpoint, state, data, log, is_checked=checkpoint == run.resume_from)
    metrics = Metrics(output_dir / "metrics.jsonl")
    checkpoints = Checkpoints(
        output_dir, config.checkpoints, state, data, run, log, checkpoint, metrics.path
    )
    _claim(output_dir, state, checkpoint, run, log)
    _cut(metrics, state)
    _describe(log, config, state, data, checkpoint)
    return Trainer(config, state, data, checkpoints, metrics, run, log)


def _choose_checkpoint(
    output_dir: Path, resume: str | None, run: Worker, log: Log, *, fresh: bool
) -> Path | None:
    """The checkpoint to resume from; None for a start from nothing.

    The supervisor's choice outranks `--resume`. A `--resume` in its command names the checkpoint of
    the first attempt, and each restart from there would throw away the training since.
    """
    if run.resume_from is not None:
        if resume not in (None, "auto", "latest", str(run.resume_from)):
            log.say(f"resuming from the supervisor's {run.resume_from}, not from --resume {resume}")
        return run.resume_from
    if not run.is_supervised:
        # a trainer that was killed may have left a newer snapshot in memory: put it onto the disk
        for problem in settle(output_dir):
            log.warn(problem)
    if resume in ("auto", "latest"):
        newest = newest_valid(output_dir, log)
        if newest is None and resume == "latest":
            raise TrainingError(f"--resume latest: there is no checkpoint in {output_dir}")
        return newest
    if resume is not None:
        return Path(resume)
    if not fresh and not run.is_supervised and (existing := list_checkpoints(output_dir)):
        raise ConfigurationError(
            f"{existing[0]} exists from an earlier run: add --resume auto to go on from the"
            " newest checkpoint, or --fresh to set the old checkpoints aside and start over"
        )
    return None


def _claim(
    output_dir: Path, state: TrainingState, checkpoint: Path | None, run: Worker, log: Log
) -> None:
    """Make the output directory and clear it of unfinished saves.

    Without a supervisor it also sets later checkpoints aside. A supervisor has done that before.
    """
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        clean_staging(output_dir)
        log.open_file(None if run.is_supervised else output_dir / "train.log")
        if run.is_supervised:
            return
        for path in list_checkpoints(output_dir):
            steps = steps_of(path)
            is_later = steps > state.position.step or checkpoint is None
            if is_later and (checkpoint is None or path.resolve() != checkpoint.resolve()):
                # left in place, the checkpoint would be what the next `--resume auto` takes
                place = set_aside.put_aside(
                    path, set_aside.SUPERSEDED, f"the run went back to step {state.position.step}"
                )
                log.say(f"set aside {path} (beyond step {state.position.step}): {place}")
    except OSError as error:
        raise TrainingError(f"{output_dir} cannot be written: {error}") from error


def _cut(metrics: Metrics, state: TrainingState) -> None:
    try:
        metrics.cut_after(state.position.step, reopen_last=state.evaluation_due)
    except OSError as error:
        raise TrainingError(f"{metrics.path} cannot be written: {error}") from error


def _describe(
    log: Log, config: TrainConfig, state: TrainingState, data: TrainingData, checkpoint: Path | None
) -> None:
    parameters = sum(parameter.numel() for parameter in state.model.parameters())
    log.say(
        f"{parameters:,} parameters on {state.device}, {config.training.precision.value},"
        f" {counted(torch.get_num_threads(), 'thread')}, pid {os.getpid()}"
    )
    log.say(
        f"{counted(data.samples, 'sample')}, {counted(data.steps_per_epoch, 'step')} an epoch,"
        f" {counted(config.training.epochs, 'epoch')}"
    )
    position = state.position
    if checkpoint is None:
        log.say("starting from the beginning")
    else:
        log.say(
            f"resuming from {checkpoint} at step {position.step}, epoch {position.epoch},"
            f" batch {position.batch}"
        )
