"""Tells the user what keeps an adapter from its work, before or without a training that attaches.

The description of the rank is written if nobody else has written one: the process may be a helper.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ..worker.description import Description
from ..worker.environment import number_of

# The worker's module, under the private name and under its own.
RANK_MODULES = ("_train_supervisor.worker.rank", "supervisor.worker.rank")

_own: list[Description] = []


def tell_alone(sentence: str) -> None:
    """Tell it by the worker's description, else by one of this process. Never raises."""
    for name in RANK_MODULES:
        worker = getattr(sys.modules.get(name), "_worker", None)
        description = getattr(worker, "description", None)
        if description is not None:
            description.tell(sentence)
            return
    directory = os.environ.get("SUPERVISOR_HEARTBEAT")
    if not directory or not _is_rank():
        return
    mine = own_description(directory)
    if mine is not None:
        mine.tell(sentence)


def own_description(directory: str) -> Description | None:
    """The description of this process; None if another living process describes this rank."""
    if not _own:
        local_rank = number_of("LOCAL_RANK", "SLURM_LOCALID") or 0
        mine = Description(Path(directory), local_rank, number_of("SUPERVISOR_ATTEMPT"))
        if mine.is_anothers:
            return None
        _own.append(mine)
    return _own[0]


def _is_rank() -> bool:
    """Whether this is the process that the launcher started, or a rank that a launcher made."""
    launcher = os.environ.get("SUPERVISOR_LAUNCHER", "").partition(":")[0]
    return launcher == str(os.getppid()) or "LOCAL_RANK" in os.environ
