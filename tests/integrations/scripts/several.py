"""A script that trains several times: `several.py stages|folds|helper EXAMPLE_S`."""

import sys

from causal_lm import Texts
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments, set_seed

EXAMPLE_S = float(sys.argv[2])


def train(directory: str, first: int, name: str, seed: int) -> None:
    """Train a model on other rows, and keep it under a name."""
    set_seed(seed)
    config = GPT2Config(vocab_size=256, n_positions=32, n_embd=32, n_layer=2, n_head=2)
    args = TrainingArguments(
        directory, per_device_train_batch_size=4, num_train_epochs=1, logging_steps=1,
        save_steps=5, report_to=[], seed=seed, learning_rate=0.01,
    )  # fmt: skip
    trainer = Trainer(GPT2LMHeadModel(config), args, train_dataset=Texts(first, 80, EXAMPLE_S))
    trainer.train()
    trainer.save_model(f"kept/{name}")


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
