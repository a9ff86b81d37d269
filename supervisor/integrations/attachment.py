"""One page for the process, whichever attaches first: the script's `supervisor.worker` or ours.

It attaches when a training begins, never at an import.
"""

from __future__ import annotations

import os
import sys

from ..worker import rank
from ..worker.description import Description
from ..worker.environment import number_of
from ..worker.stop_signals import STOP_SIGNALS, unhandled
from .telling import RANK_MODULES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..worker.rank import Worker

_SIGNS = ("_train_supervisor.integrations.sign_of_life", "supervisor.integrations.sign_of_life")


def take_signals(worker: Worker, tell: Callable[[str], None]) -> None:
    """Take the stop signals for a training, if an adapter attached this worker."""
    if getattr(worker, "_is_adapters", False):
        worker._signals.take(unhandled(STOP_SIGNALS, tell))


def give_signals_back(worker: Worker, *, even_if_asked: bool = False) -> None:
    """Let the stop signals have their default action again, if it was an adapter that took them.

    Where no training heeds them, a process that ignores SIGTERM could only be killed.
    """
    is_due = even_if_asked or not worker._signals.asked
    if getattr(worker, "_is_adapters", False) and is_due:
        worker._signals.let_go()


def attached(tell: Callable[[str], None]) -> Worker | None:
    """Return this process's worker, attached now if need be; None without a supervisor."""
    if not os.environ.get("SUPERVISOR_HEARTBEAT"):
        return None
    _end_signs_of_life()
    modules = [module for name in RANK_MODULES if (module := sys.modules.get(name)) is not None]
    for module in modules:
        worker: Worker | None = getattr(module, "_worker", None)
        if worker is not None and hasattr(worker, "beat"):
            return worker
    worker = rank.attach_for_adapter(tell)
    for module in modules:
        if hasattr(module, "attach") and vars(module).get("_worker", worker) is None:
            module._worker = rank._worker  # type: ignore[attr-defined]
    return worker


def _end_signs_of_life() -> None:
    """A page speaks for the process from now on, and SIGTERM is free again."""
    for name in _SIGNS:
        module = sys.modules.get(name)
        if module is not None:
            module.stand_down()


def description_of(worker: Worker, before: Description | None) -> Description:
    """Return the worker's description.

    A worker of an earlier version has none; it gets `before`, that of the process, or a new one.
    """
    found: Description | None = getattr(worker, "description", None) or before
    if found is None:
        from pathlib import Path

        directory = Path(os.environ["SUPERVISOR_HEARTBEAT"])
        local_rank = number_of("LOCAL_RANK", "SLURM_LOCALID") or 0
        found = Description(directory, local_rank, number_of("SUPERVISOR_ATTEMPT"))
    return found
