"""Checkpoints that hardly stall training: snapshots in memory, which the disk takes meanwhile.

with Checkpointer({"model.pt": model, "optimizer.pt": optimizer}, directory="out") as keep:
    for step in …:
        …
        keep.after_step(step)
    keep.save(step, kind="final", wait=True)
"""

from train.checkpoint.checkpointer import Checkpointer
from train.checkpoint.outcome import Saved, Taken
from train.checkpoint.place import settle
from train.checkpoint.reading import load
from train.checkpoint.request import ConfigurationError
from train.checkpoint.tier import AlreadyWrittenError

__all__ = [
    "AlreadyWrittenError",
    "Checkpointer",
    "ConfigurationError",
    "Saved",
    "Taken",
    "load",
    "settle",
]
