"""A script that trains several times: `lightning_several.py stages|folds|finder|process`.

`FAULTS=kill@7` as in `faults.py`; the steps are counted over all of its trainings.
"""

import subprocess
import sys

import lightning.pytorch as lightning
import lightning_script as script
import torch
from faults import fault
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.tuner import Tuner


class Model(script.Model):
    """Counts the steps of all trainings for the faults.

    With `probes` another process trains for a while in step 12.
    """

    probes = False

    def __init__(self, first=0):
        super().__init__()
        self.first, self.lr = first, 0.01

    def training_step(self, batch, batch_idx):
        if self.trainer.max_epochs == 2:  # not in a tuner's search
            fault("step", self.first + self.global_step + 1)
        if self.probes and self.global_step == 11:
            beside("probe")
        x, y = batch
        return torch.nn.functional.mse_loss(self.network(x), y)


def trainer(directory):
    """Two epochs of 12 steps."""
    saver = ModelCheckpoint(every_n_train_steps=5, save_top_k=-1)
    return lightning.Trainer(
        accelerator="cpu", max_epochs=2, default_root_dir=directory, callbacks=[saver],
        logger=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip


def train(directory, first, name, model=None):
    """Train a model on data of its own, and keep it under a name."""
    lightning.seed_everything(first)
    model = model or Model(first)
    model.first = first
    trainer(directory).fit(
        model, script.loader(first, shuffle=True), script.loader(2, shuffle=False)
    )
    torch.save(model.state_dict(), f"{name}.pt")
    return model


def beside(plan):
    """Have another process train, and wait for it."""
    subprocess.run([sys.executable, __file__, plan], check=True)


if __name__ == "__main__":
    plan = sys.argv[1]
    if plan == "stages":
        model = train("one", 0, "one")
        train("two", 100, "two", model)
    elif plan == "folds":
        for fold in range(3):
            train("out", 100 * fold, f"fold-{fold}")
    elif plan == "finder":
        lightning.seed_everything(1)
        model = Model()
        Tuner(trainer("out")).lr_find(model, script.loader(1, shuffle=True), num_training=4)
        train("out", 0, "main", model)
        train("out", 100, "second")
    elif plan == "process":
        beside("before")
        lightning.seed_everything(1)
        model = Model()
        model.probes = True
        train("out", 100, "main", model)
    elif plan == "before":
        train("before", 0, "before")
    elif plan == "probe":
        train("probe", 200, "probe")
