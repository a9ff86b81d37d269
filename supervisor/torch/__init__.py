"""Checkpoints that hardly stall training: snapshots in memory, which the disk takes meanwhile.

with Checkpointer({"model.pt": model, "optimizer.pt": optimizer}, directory="out") as keep:
    for step in …:
        …
        keep.after_step(step)
    keep.save(step, kind="final", wait=True)

A `Checkpointer` asks its sources for their states (`sources.py`). The first time it lays each state
out in the background (`preparation.py`). It finds where every storage lies in its .pt file
(`layout.py`, `binding.py`). It makes mapped files on tmpfs (`pages.py`) for the two slots
(`tier.py`, `slot.py`). From then on a snapshot only moves bytes into a slot (`copying.py`). Copies
from a device go on while training does (`inflight.py`), and then the slot's seal is closed
(`sealing.py`).

A save is a snapshot that is wanted on the disk. The persister copies it there, and `persisting.py`
reads from its board how that ended. If memory has no room, the save goes straight to the disk
(`streaming.py`), and training waits.

When a save is due says `save_pace.py`, by what saves cost; `save_telling.py` tells the supervisor
of it, and `save_agreement.py` other ranks. What works beside training is a thread of
`background.py`, for which the end of the process waits.

These things always hold. The only whole slot is never written. A snapshot whose weights are seen to
change during the copies is given up. Only one process of a run writes. Without a supervisor this
package starts a persister of its own.
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
from supervisor.torch.save_agreement import SaveAgreement
from supervisor.torch.tier import AlreadyWrittenError

__all__ = [
    "AlreadyWrittenError",
    "Checkpointer",
    "ConfigurationError",
    "SaveAgreement",
    "Saved",
    "Taken",
    "load",
    "settle",
]
