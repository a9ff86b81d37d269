"""A script as people have them: a tiny GPT-2 from a configuration, trained by transformers.

`FAULTS=kill@7,…` as in `faults.py`.
"""

import os
import pydoc_data.topics
import sys
import time
from dataclasses import dataclass

import torch
from faults import fault
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    HfArgumentParser,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)


@dataclass
class Pace:
    """How slow it is: seconds for one example. When a callback has had enough; whether to resume
    from the newest checkpoint there is."""

    example_s: float = 0.0
    eval_example_s: float = 0.0
    enough_at: int = 0
    newest: bool = False


class Usual(TrainerCallback):
    """A callback of the user's: it ends the training early at a step of `enough_at`."""

    def __init__(self, enough_at: int) -> None:
        self.enough_at = enough_at

    def on_step_begin(self, args, state, control, **kwargs):
        fault("step", state.global_step + 1)

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop |= state.global_step == self.enough_at

    def on_prediction_step(self, args, state, control, **kwargs):
        fault("val", state.global_step)


class Texts(torch.utils.data.Dataset):
    """Bytes of Python's own documentation, 32 at a time."""

    def __init__(self, first: int, count: int, example_s: float) -> None:
        text = "".join(pydoc_data.topics.topics[name] for name in sorted(pydoc_data.topics.topics))
        self.data = text.encode()[32 * first : 32 * (first + count)]
        self.example_s = example_s

    def __len__(self) -> int:
        return len(self.data) // 32

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        time.sleep(self.example_s)
        if os.path.exists("fault"):
            os.unlink("fault")
            raise RuntimeError("a row that cannot be read")
        row = torch.tensor(list(self.data[32 * index : 32 * index + 32]))
        return {"input_ids": row, "labels": row}


if __name__ == "__main__":
    args, pace = HfArgumentParser((TrainingArguments, Pace)).parse_args_into_dataclasses()
    set_seed(args.seed)
    config = GPT2Config(vocab_size=256, n_positions=32, n_embd=32, n_layer=2, n_head=2)
    trainer = Trainer(
        GPT2LMHeadModel(config),
        args,
        train_dataset=Texts(0, 160, pace.example_s),
        eval_dataset=Texts(500, 40, pace.eval_example_s),
        callbacks=[Usual(pace.enough_at)],
    )
    trainer.train(resume_from_checkpoint=pace.newest or args.resume_from_checkpoint)
    trainer.save_model()
    print("the script came to its end", trainer.state.global_step, file=sys.stderr)
