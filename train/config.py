"""The keys of a training config, with types, defaults and limits; it reads no files."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Precision(StrEnum):
    """The number format of the forward pass; weights and optimizer state stay float32."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


class NonFinite(StrEnum):
    """What the trainer does when a loss is not finite."""

    RAISE = "raise"
    WARN = "warn"


class Auto(StrEnum):
    """A value that the trainer finds by itself."""

    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The small character GPT, or the user's own module by import path."""

    factory: str | None = None
    args: dict[str, Any] = field(default_factory=dict)
    layers: int = 4
    heads: int = 4
    width: int = 128
    dropout: float = 0.1


@dataclass(frozen=True, slots=True)
class DataConfig:
    """A text file cut into blocks, or the user's own dataset by import path."""

    text: str | None = None
    factory: str | None = None
    args: dict[str, Any] = field(default_factory=dict)
    block_size: int = 128
    batch_size: int = 16
    validation_fraction: float = 0.05
    workers: int = 0


@dataclass(frozen=True, slots=True)
class OptimizerConfig:
    """AdamW; `clip_norm` 0 measures the gradient norm without clipping."""

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8
    weight_decay: float = 0.1
    clip_norm: float = 1.0


@dataclass(frozen=True, slots=True)
class ScheduleConfig:
    """Linear warm-up, then a cosine down to `final_ratio` of the peak; constant without steps."""

    warmup_steps: int = 100
    total_steps: int | None = None
    final_ratio: float = 0.1


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How long, in what precision, on what device."""

    epochs: int = 10
    max_steps: int | None = None
    accumulation: int = 1
    precision: Precision = Precision.FP32
    ema_decay: float = 0.0
    compile: bool = False
    compile_backend: str = "inductor"
    deterministic: bool = False
    device: str = "auto"
    threads: int | None = None
    non_finite: NonFinite = NonFinite.RAISE


@dataclass(frozen=True, slots=True)
class CheckpointConfig:
    """When to save. `keep` counts only without a supervisor, since a supervisor prunes by itself.

    `save_steps`: steps between two saves; auto: as often as loses the least time; 0: none.
    `snapshot_steps`: steps between two snapshots in memory; 0 turns them off.
    """

    save_steps: int | Auto = 500
    snapshot_steps: int | Auto = Auto.AUTO
    every_epoch: bool = True
    keep: int = 5


@dataclass(frozen=True, slots=True)
class EvaluationConfig:
    """`steps` 0 turns it off; `batches` null takes the whole validation set."""

    steps: int = 0
    batches: int | None = 20


@dataclass(frozen=True, slots=True)
class LogConfig:
    """How often train.log gets a line; metrics.jsonl has every step."""

    every: int = 10


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """The whole file. `output_dir` null: the supervisor's run directory, else `outputs`."""

    output_dir: str | None = None
    seed: int = 1337
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    checkpoints: CheckpointConfig = field(default_factory=CheckpointConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    log: LogConfig = field(default_factory=LogConfig)


# Key, lowest value, highest value (None: no limit). The values null and auto are always allowed.
_LIMITS: tuple[tuple[str, float, float | None], ...] = (
    ("seed", 0, 2**63 - 1),
    ("model.layers", 1, None),
    ("model.heads", 1, None),
    ("model.width", 1, None),
    ("model.dropout", 0, 0.99),
    ("data.block_size", 1, None),
    ("data.batch_size", 1, None),
    ("data.validation_fraction", 0, 0.9),
    ("data.workers", 0, None),
    ("optimizer.learning_rate", 0, None),
    ("optimizer.beta1", 0, 0.999999),
    ("optimizer.beta2", 0, 0.999999999),
    ("optimizer.epsilon", 0, None),
    ("optimizer.weight_decay", 0, None),
    ("optimizer.clip_norm", 0, None),
    ("schedule.warmup_steps", 0, None),
    ("schedule.total_steps", 1, None),
    ("schedule.final_ratio", 0, 1),
    ("training.epochs", 1, None),
    ("training.max_steps", 1, None),
    ("training.accumulation", 1, None),
    ("training.ema_decay", 0, 0.999999999),
    ("training.threads", 1, None),
    ("checkpoints.save_steps", 0, None),
    ("checkpoints.snapshot_steps", 0, None),
    ("checkpoints.keep", 1, None),
    ("evaluation.steps", 0, None),
    ("evaluation.batches", 1, None),
    ("log.every", 1, None),
)


def impossible_values(config: TrainConfig) -> Iterator[str]:
    """Yield a message for each value that has the right type and still is not allowed."""
    for key, lowest, highest in _LIMITS:
        value: object = config
        for part in key.split("."):
            value = getattr(value, part)
        if value is None or isinstance(value, Auto):
            continue
        assert isinstance(value, int | float)
        # written so that a NaN is refused, too: each comparison with it is false
        if not (value >= lowest and (highest is None or value <= highest)):
            wanted = f"at least {lowest:g}" if highest is None else f"{lowest:g} to {highest:g}"
            yield f"{key}: must be {wanted}, got {value}"
    if config.model.factory is None and config.model.width % max(1, config.model.heads):
        yield (
            f"model.width: must be a multiple of model.heads ({config.model.heads}),"
            f" got {config.model.width}"
        )
    if config.data.factory is not None and config.data.text is not None:
        yield "data.text: give either a text or a factory, not both"
