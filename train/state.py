"""The state that a checkpoint must hold, built from a config. It reads and writes no files."""

import os
from dataclasses import dataclass

import torch
from torch import nn

from train import randomness
from train.config import Precision, TrainConfig
from train.data import TrainingData
from train.ema import EMA
from train.errors import ConfigurationError
from train.model import build_model
from train.optimizer import AdamW, build_optimizer
from train.schedule import WarmupCosine

AUTOCAST_DTYPES = {Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16}


@dataclass(frozen=True, slots=True)
class Position:
    """Optimizer steps done, and the epoch and batch at which the next step begins."""

    step: int = 0
    epoch: int = 0
    batch: int = 0


@dataclass(slots=True)
class TrainingState:
    """The state that a step changes.

    `model` is never the compiled wrapper, so that its weights' names have no prefix.
    """

    model: nn.Module
    optimizer: AdamW
    schedule: WarmupCosine
    ema: EMA | None
    scaler: torch.amp.GradScaler | None
    device: torch.device
    position: Position = Position()
    # a stop came before the evaluation of the last step was done
    evaluation_due: bool = False


def prepare_torch(config: TrainConfig) -> torch.device:
    """Set torch's global options; returns the device. Raises ConfigurationError."""
    training = config.training
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigurationError(
            "this trainer runs in one process, but WORLD_SIZE is"
            f" {os.environ['WORLD_SIZE']} (several processes would write the same checkpoints)"
        )
    if training.threads is not None:
        torch.set_num_threads(training.threads)
    if training.deterministic:
        # cuBLAS reads this variable when it starts
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
        # the fused attention kernels add up gradients in any order
        torch.backends.cuda.enable_flash_sdp(False)
        torch.backends.cuda.enable_mem_efficient_sdp(False)
        torch.backends.cuda.enable_cudnn_sdp(False)
    return _find_device(training.device)


def _find_device(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigurationError(
            f"training.device: {name!r} is not auto, cpu, cuda or cuda:N"
        ) from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigurationError(
            f"training.device: {name} does not exist here ({torch.cuda.device_count()} CUDA devices"
            " seen)"
        )
    return device


def build_state(config: TrainConfig, data: TrainingData, device: torch.device) -> TrainingState:
    """Make model, optimizer and the other parts in their state before the first step."""
    randomness.seed_everything(config.seed)
    # the weights are drawn on the CPU, so that a seed gives the same weights on each device
    model = build_model(config, data.vocabulary).to(device)
    training = config.training
    total_steps = data.steps_per_epoch * training.epochs
    if training.max_steps is not None:
        total_steps = min(total_steps, training.max_steps)
    return TrainingState(
        model=model,
        optimizer=build_optimizer(model, config.optimizer),
        schedule=WarmupCosine(config.schedule, config.optimizer.learning_rate, total_steps),
        ema=EMA(model, training.ema_decay) if training.ema_decay > 0 else None,
        scaler=torch.amp.GradScaler(device.type) if training.precision is Precision.FP16 else None,
        device=device,
    )
