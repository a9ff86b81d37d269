"""What a training process finds in its environment: its rank, its peers, and its supervisor.

Stdlib only: trainers import it.
"""

from __future__ import annotations

import os
import re
import sys
from math import isfinite
from pathlib import Path


def is_spawn_import() -> bool:
    """Whether this is a spawned data-loader worker, which imports the script again: no rank."""
    multiprocessing = sys.modules.get("multiprocessing.process")
    return multiprocessing is not None and hasattr(multiprocessing.current_process(), "_inheriting")


def path_of(name: str) -> Path | None:
    """The path that this variable holds."""
    value = os.environ.get(name)
    return Path(value) if value else None


def number_of(*names: str) -> int | None:
    """The first of these variables that is a whole number."""
    for name in names:
        value = os.environ.get(name, "")
        if value.isascii() and value.isdigit():
            return int(value)
    return None


def seconds_of(name: str) -> float | None:
    """The seconds that this variable holds; None for what is no duration."""
    try:
        value = float(os.environ.get(name, ""))
    except ValueError:
        return None
    return value if isfinite(value) and value >= 0 else None


def ranks_here() -> int:
    """How many ranks this node has, as torchrun, DeepSpeed or srun (`4`, `4(x2)`) say."""
    counted = number_of("LOCAL_WORLD_SIZE", "LOCAL_SIZE")
    if counted is not None or "LOCAL_RANK" in os.environ:
        return counted or 1
    tasks = re.match(r"\d+", os.environ.get("SLURM_STEP_TASKS_PER_NODE", ""), re.ASCII)
    return int(tasks[0]) if tasks else 1
