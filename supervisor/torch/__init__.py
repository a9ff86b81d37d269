"""Checkpoints that hardly stall training: snapshots in memory, which the disk takes meanwhile.

with Checkpointer({"model.pt": model, "optimizer.pt": optimizer}, directory="out") as keep:
    for step in …:
        …
        keep.after_step(step)
    keep.save(step, kind="final", wait=True)
"""

try:
    import torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        "supervisor.torch needs torch: pip install 'train-supervisor[train]'"
    ) from error

from supervisor.torch.checkpointer import Checkpointer
from supervisor.torch.outcome import Saved, Taken
from supervisor.torch.place import settle
from supervisor.torch.reading import load
from supervisor.torch.request import ConfigurationError
from supervisor.torch.tier import AlreadyWrittenError

__all__ = [
    "AlreadyWrittenError",
    "Checkpointer",
    "ConfigurationError",
    "Saved",
    "Taken",
    "load",
    "settle",
]
