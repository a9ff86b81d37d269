"""What the adapter finds out about the saves of real fits; prints the answers as JSON."""

import json
import logging
import sys
import warnings
from datetime import timedelta
from pathlib import Path

import lightning.pytorch as lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch.utils.data import DataLoader, TensorDataset

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from supervisor.integrations.lightning_saves import not_restored, save_interval

warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Model(lightning.LightningModule):
    """Learns nothing."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def training_step(self, batch, index):
        loss = self.layer(batch[0]).sum()
        self.log("loss", loss)
        return loss

    def validation_step(self, batch, index):
        self.log("val_loss", self.layer(batch[0]).sum())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.01)


class Ask(Callback):
    """Asks as the first batch is next, and counts the steps of real saves."""

    said = None

    def __init__(self):
        self.saved = []

    def on_train_start(self, trainer, module):
        self.said = [*save_interval(trainer), not_restored(trainer)]

    def on_save_checkpoint(self, trainer, module, checkpoint):
        self.saved.append(trainer.global_step)


class Stateful(DataLoader):
    """A loader that knows its place."""

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def loader(kind=DataLoader):
    """Twelve batches."""
    return kind(TensorDataset(torch.randn(48, 4)), batch_size=4)


def fitted(folder, *callbacks, data=None, **how):
    """What was said of a fit, and the steps at which it saved."""
    ask = Ask()
    trainer = lightning.Trainer(
        default_root_dir=folder, accelerator="cpu", logger=False, enable_progress_bar=False,
        enable_model_summary=False, max_epochs=4, num_sanity_val_steps=0,
        callbacks=[*callbacks, ask], **how,
    )  # fmt: skip
    trainer.fit(Model(), data or loader(), loader())
    return [*ask.said, sorted(set(ask.saved))]


def main(folder):
    """Each case in a folder of its own."""
    every = {"save_top_k": -1}
    cases = {
        "default": ([], {}),
        "accumulated": ([], {"accumulate_grad_batches": 5}),
        "steps": ([ModelCheckpoint(every_n_train_steps=7, **every)], {}),
        "epochs": ([ModelCheckpoint(every_n_epochs=2, **every)], {}),
        "validations": ([ModelCheckpoint(**every)], {"val_check_interval": 0.5}),
        "time": ([ModelCheckpoint(train_time_interval=timedelta(minutes=3), **every)], {}),
        "both": (
            [ModelCheckpoint(every_n_train_steps=n, filename=f"{n}-{{step}}") for n in (9, 5)], {},
        ),
        "best": ([ModelCheckpoint(monitor="val_loss")], {}),
        "none kept": ([ModelCheckpoint(save_top_k=0)], {}),
        "weights": ([ModelCheckpoint(save_weights_only=True)], {}),
        "off": ([], {"enable_checkpointing": False}),
        "stateful": ([], {"data": loader(Stateful)}),
        "one stateful": ([], {"data": [loader(Stateful), loader()]}),
    }  # fmt: skip
    answers = {}
    for name, (callbacks, how) in cases.items():
        if name == "one stateful":
            Model.training_step = lambda self, batch, index: self.layer(batch[0][0]).sum()
        answers[name] = fitted(str(Path(folder) / name), *callbacks, **how)
    print("ANSWERS " + json.dumps(answers))


main(sys.argv[1])
