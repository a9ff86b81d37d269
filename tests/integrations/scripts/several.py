"""A script that trains several times: `several.py stages|folds|helper|process`.

`FAULTS=kill@7` as in `faults.py`; the steps are counted over all of its trainings.
"""

import subprocess
import sys

from causal_lm import Texts
from faults import fault
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)


class Usual(TrainerCallback):
    """A callback of the user's; at step 12 it may have another process train for a while."""

    def __init__(self, first: int, *, probes: bool) -> None:
        self.first, self.probes = first, probes

    def on_step_begin(self, args, state, control, **kwargs):
        fault("step", self.first + state.global_step + 1)

    def on_step_end(self, args, state, control, **kwargs):
        if self.probes and state.global_step == 12:
            beside("probe")


def train(directory: str, first: int, name: str, seed: int, *, probes: bool = False) -> None:
    """Train a model on other rows, and keep it under a name."""
    set_seed(seed)
    config = GPT2Config(vocab_size=256, n_positions=32, n_embd=32, n_layer=2, n_head=2)
    args = TrainingArguments(
        directory, per_device_train_batch_size=4, num_train_epochs=1, logging_steps=1,
        save_steps=5, report_to=[], seed=seed, learning_rate=0.01,
    )  # fmt: skip
    trainer = Trainer(
        GPT2LMHeadModel(config), args, train_dataset=Texts(first, 80, 0.0),
        callbacks=[Usual(first, probes=probes)],
    )  # fmt: skip
    trainer.train()
    trainer.save_model(f"kept/{name}")


def beside(plan: str) -> None:
    """Have another process train, and wait for it."""
    subprocess.run([sys.executable, __file__, plan], check=True)


if __name__ == "__main__":
    match sys.argv[1]:
        case "stages":
            train("out/one", 0, "one", 1)
            train("out/two", 100, "two", 2)
        case "folds":
            for fold in range(3):
                train("out", 100 * fold, f"fold-{fold}", fold)
        case "helper":
            train("helper", 0, "helper", 1)
            train("out", 100, "main", 2)
        case "process":
            beside("before")
            train("out", 100, "main", 2, probes=True)
        case "before":
            train("before", 0, "before", 1)
        case "probe":
            train("probe", 200, "probe", 3)
