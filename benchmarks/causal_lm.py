"""A script for transformers as people have it: a small GPT-2 from a configuration.

Its callback appends the same stamps as `benchmarks/training.py`, under every launcher. The script
finds the newest checkpoint itself, as transformers' own examples do.
"""

import time

BEGAN_NS = time.monotonic_ns()

import os  # noqa: E402 -- the first stamp comes before any import that takes time
import pydoc_data.topics  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import torch  # noqa: E402
from transformers import (  # type: ignore[import-not-found]  # noqa: E402
    GPT2Config,
    GPT2LMHeadModel,
    HfArgumentParser,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_utils import (  # type: ignore[import-not-found]  # noqa: E402
    get_last_checkpoint,
)

IMPORTED_NS = time.monotonic_ns()
LENGTH = 64


@dataclass
class Stamps:
    """Where the time stamps go: lines of a name, the pid, a step or -, CLOCK_MONOTONIC in ns."""

    stamps: str

    def note(self, name: str, step: int | None = None, at_ns: int | None = None) -> None:
        """Append one line, which a SIGKILL cannot tear."""
        when = time.monotonic_ns() if at_ns is None else at_ns
        fd = os.open(self.stamps, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        where = "-" if step is None else step
        os.write(fd, f"{name} {os.getpid()} {where} {when}\n".encode())
        os.close(fd)


class Texts(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """The bytes of Python's own documentation."""

    def __init__(self) -> None:
        topics = pydoc_data.topics.topics
        self.data = "".join(topics[name] for name in sorted(topics)).encode()

    def __len__(self) -> int:
        return len(self.data) // LENGTH

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        row = torch.tensor(list(self.data[LENGTH * index : LENGTH * (index + 1)]))
        return {"input_ids": row, "labels": row}


class StampCallback(TrainerCallback):  # type: ignore[misc]
    """Notes when the loop begins, which is after a checkpoint was loaded, and each step."""

    def __init__(self, stamps: Stamps) -> None:
        self.stamps = stamps

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note the step that the training goes on from."""
        self.stamps.note("loaded", state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note a finished optimizer step."""
        self.stamps.note("step", state.global_step)


def main() -> None:
    """Train from the newest checkpoint of the output directory, if there is one."""
    parser = HfArgumentParser((TrainingArguments, Stamps))
    args, stamps = parser.parse_args_into_dataclasses()
    stamps.note("started", at_ns=BEGAN_NS)
    stamps.note("imported", at_ns=IMPORTED_NS)
    set_seed(args.seed)
    config = GPT2Config(vocab_size=256, n_positions=LENGTH, n_embd=128, n_layer=4, n_head=4)
    trainer = Trainer(
        GPT2LMHeadModel(config),
        args,
        train_dataset=Texts(),
        callbacks=[StampCallback(stamps)],
    )
    last = get_last_checkpoint(args.output_dir) if Path(args.output_dir).is_dir() else None
    stamps.note("chosen")
    trainer.train(resume_from_checkpoint=last)


if __name__ == "__main__":
    main()
