"""A script as people write them: it knows of no supervisor. Faults come by its environment.

`FAULTS=kill@7,…` as in `faults.py`.
"""

import os
import sys
import time
from typing import Any

import torch
from faults import fault
from torch.utils.data import DataLoader, TensorDataset

if os.environ.get("PACKAGE") == "pytorch_lightning":
    import pytorch_lightning as lightning  # type: ignore[import-not-found]
    from pytorch_lightning.callbacks import ModelCheckpoint  # type: ignore[import-not-found]
    from pytorch_lightning.loggers import WandbLogger  # type: ignore[import-not-found]
else:
    import lightning.pytorch as lightning  # type: ignore[import-not-found]
    from lightning.pytorch.callbacks import ModelCheckpoint  # type: ignore[import-not-found]
    from lightning.pytorch.loggers import WandbLogger  # type: ignore[import-not-found]

if os.environ.get("NO_PAGE") == os.environ.get("LOCAL_RANK", "0"):
    os.environ["SUPERVISOR_HEARTBEAT"] = "/nonexistent"
BATCHES = 12


class Model(lightning.LightningModule):  # type: ignore[misc]
    """A small network with dropout, so that the random state counts."""

    def __init__(self) -> None:
        super().__init__()
        self.network = torch.nn.Sequential(
            torch.nn.Linear(8, 32), torch.nn.Dropout(0.3), torch.nn.ReLU(), torch.nn.Linear(32, 1)
        )

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """Return the loss."""
        fault("step", self.global_step + 1)
        time.sleep(float(os.environ.get("STEP_S", "0")))
        x, y = batch
        loss = torch.nn.functional.mse_loss(self.network(x), y)
        self.log("train_loss", loss)
        print("step", self.global_step, x.sum().item(), loss.item(), flush=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Log the loss."""
        if not self.trainer.sanity_checking:
            fault("val", self.global_step)
        x, y = batch
        self.log("val_loss", torch.nn.functional.mse_loss(self.network(x), y), sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Return an optimizer with a schedule that validations drive."""
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.01)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, "max", factor=0.7, patience=0
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "monitor": "val_loss"},
        }


def loader(seed: int, *, shuffle: bool) -> Any:
    """Return a loader of random numbers."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(BATCHES * 4, 8, generator=generator)
    y = x.sum(1, keepdim=True) + torch.randn(len(x), 1, generator=generator)
    return DataLoader(
        TensorDataset(x, y),
        batch_size=4,
        shuffle=shuffle,
        num_workers=int(os.environ.get("WORKERS", "0")),
    )


def main() -> None:
    """Train, and write the weights."""
    lightning.seed_everything(1, workers=True)
    model = Model()
    every = int(os.environ.get("EVERY", "5"))
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=int(os.environ.get("DEVICES", "1")),
        num_nodes=int(os.environ.get("NODES", "1")),
        strategy=os.environ.get("STRATEGY", "auto"),
        max_epochs=3,
        max_steps=int(os.environ.get("STEPS", "-1")),
        accumulate_grad_batches=int(os.environ.get("ACCUMULATE", "1")),
        val_check_interval=float(os.environ.get("VALIDATE", "1.0")),
        limit_val_batches=int(os.environ.get("VALIDATIONS", "12")),
        callbacks=[ModelCheckpoint(every_n_train_steps=every, save_top_k=-1)] if every else [],
        log_every_n_steps=2,
        logger=WandbLogger(project="fits") if os.environ.get("TRACKER") == "wandb" else None,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, loader(1, shuffle=True), loader(2, shuffle=False))
    if trainer.is_global_zero:
        torch.save(model.state_dict(), "final.pt")
    print("done", trainer.global_step, sys.argv[1:])


if __name__ == "__main__":
    main()
