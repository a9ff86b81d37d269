"""Batches of a text or of the user's dataset, in an order that depends only on seed and epoch.

So training can go on at any batch. This module must never draw from training's random numbers.
"""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from train import randomness
from train.config import DataConfig, TrainConfig
from train.data_worker import worker_initializer
from train.errors import ConfigurationError
from train.factory import make
from train.log import counted

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class TextBlocks(Dataset[tuple[Tensor, Tensor]]):
    """Blocks of a text that do not overlap, each paired with itself shifted by one character."""

    def __init__(self, characters: Tensor, vocabulary: int, block_size: int) -> None:
        self.characters = characters
        self.vocabulary = vocabulary
        self.block_size = block_size

    def __len__(self) -> int:
        """How many whole blocks there are."""
        return max(0, (len(self.characters) - 1) // self.block_size)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        start = index * self.block_size
        block = self.characters[start : start + self.block_size + 1]
        return block[:-1], block[1:]


class BatchOrder(NamedTuple):
    """The samples of a batch, and the seed of the random numbers that the dataset draws for it."""

    seed: int
    indices: list[int]


class SeededBatches(Dataset[Any]):
    """A dataset whose random augmentation depends on the batch's seed alone.

    So a batch is the same with and without worker processes, before and after a resume.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitems__(self, order: BatchOrder) -> list[Any]:
        """Fetch a batch; the caller's random-number states are left as they were."""
        with randomness.kept(devices=False):
            randomness.seed_host(order.seed)
            return [self.dataset[index] for index in order.indices]

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]


class PlainBatches(SeededBatches):
    """A dataset that draws no random numbers, so that their states need not be kept."""

    def __getitems__(self, order: BatchOrder) -> list[Any]:
        """Fetch a batch."""
        return [self.dataset[index] for index in order.indices]


def epoch_order(samples: int, batch_size: int, seed: int, epoch: int) -> list[BatchOrder]:
    """All whole batches of an epoch; the samples left over differ from epoch to epoch."""
    generator = torch.Generator().manual_seed(randomness.derive_seed(seed, "order", epoch))
    permutation = torch.randperm(samples, generator=generator).tolist()
    return [
        BatchOrder(
            randomness.derive_seed(seed, "batch", epoch, number),
            permutation[number * batch_size : (number + 1) * batch_size],
        )
        for number in range(samples // batch_size)
    ]


def fixed_order(samples: int, batch_size: int) -> list[BatchOrder]:
    """The same batches each time, in the dataset's order: for evaluation."""
    return [
        BatchOrder(start, list(range(start, min(start + batch_size, samples))))
        for start in range(0, samples, batch_size)
    ]


class TrainingData:
    """Train and validation samples and the loaders over them."""

    def __init__(
        self, train: Any, validation: Any | None, vocabulary: int | None, config: TrainConfig
    ) -> None:
        self.config: DataConfig = config.data
        self.seed = config.seed
        self.pin_memory = False
        self.samples = len(train)
        self.validation_samples = 0 if validation is None else len(validation)
        self.vocabulary = vocabulary
        wrap = PlainBatches if isinstance(train, TextBlocks) else SeededBatches
        self._train = wrap(train)
        self._validation = wrap(validation)
        self.accumulation = config.training.accumulation
        self.batches_per_epoch = self.samples // self.config.batch_size
        self.steps_per_epoch = self.batches_per_epoch // self.accumulation
        if self.steps_per_epoch == 0:
            raise ConfigurationError(
                f"the data has {counted(self.samples, 'sample')}: fewer than one optimizer step"
                f" takes (data.batch_size {self.config.batch_size} × training.accumulation"
                f" {self.accumulation})"
            )

    def epoch(self, epoch: int, first_batch: int) -> Iterator[Any]:
        """Batches of an epoch from `first_batch` on, as many as whole optimizer steps need."""
        order = epoch_order(self.samples, self.config.batch_size, self.seed, epoch)[first_batch:]
        return self._load(self._train, order[: len(order) // self.accumulation * self.accumulation])

    def validation(self, batches: int | None) -> Iterator[Any]:
        """The first `batches` of the validation set (None: all), always the same."""
        order = fixed_order(self.validation_samples, self.config.batch_size)
        return self._load(self._validation, order[:batches])

    def _load(self, dataset: Dataset[Any], order: list[BatchOrder]) -> Iterator[Any]:
        loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_sampler=order,  # type: ignore[arg-type]  # it is handed to __getitems__ as it is
            num_workers=self.config.workers,
            worker_init_fn=worker_initializer(),
            pin_memory=self.pin_memory,
            # its own generator: by default each epoch's start draws from training's generator
            generator=torch.Generator().manual_seed(self.seed),
        )
        # SLURM and Ctrl-C send a stop to whole process groups. A worker that dies of it makes the
        # trainer fail before it has saved. So workers are forked with these signals blocked.
        # `ignore_stop_signals` then lets a worker find out who sent a signal.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        try:
            return iter(loader)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def load_data(config: TrainConfig) -> TrainingData:
    """Read the configured data. Raises ConfigurationError if it cannot be used."""
    if config.data.factory is None:
        blocks, validation_blocks = _text_blocks(config)
        return TrainingData(blocks, validation_blocks, blocks.vocabulary, config)
    made = make(config.data.factory, config.data.args, "data")
    train, validation = made if isinstance(made, tuple) else (made, None)
    if not (hasattr(train, "__getitem__") and hasattr(train, "__len__")):
        raise ConfigurationError(
            f"data.factory made a {type(train).__name__}: it needs __len__ and __getitem__,"
            " since a stream without positions cannot be resumed inside an epoch"
        )
    vocabulary = getattr(train, "vocabulary", None)
    if validation is None and config.data.validation_fraction > 0:
        size = len(train) - int(len(train) * config.data.validation_fraction)
        validation = Subset(train, range(size, len(train)))
        train = Subset(train, range(size))
    return TrainingData(train, validation, vocabulary, config)


def _text_blocks(config: TrainConfig) -> tuple[TextBlocks, TextBlocks | None]:
    if config.data.text is None:
        from pydoc_data.topics import topics

        text = "".join(topics.values())
    else:
        try:
            text = Path(config.data.text).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigurationError(f"data.text: {config.data.text}: {reason}") from error
    if not text:
        raise ConfigurationError(f"data.text: {config.data.text} is empty")
    codes = torch.frombuffer(bytearray(text.encode("utf-32-le")), dtype=torch.int32)
    alphabet, characters = torch.unique(codes, return_inverse=True)
    train_size = len(characters) - int(len(characters) * config.data.validation_fraction)
    block_size = config.data.block_size
    train = TextBlocks(characters[:train_size], len(alphabet), block_size)
    validation = TextBlocks(characters[train_size:], len(alphabet), block_size)
    return train, validation if len(validation) else None
