"""`attach`: the one training process of an interpreter, made once by the script or an adapter.

Stdlib only, and harmless outside a supervisor. It must never fail a training run by itself.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from .contract import EXIT_CONFIGURATION, EXIT_PREEMPTED
from .environment import is_spawn_import, path_of
from .stop_signals import STOP_SIGNALS, end_workers_at_exit, ignore_stop_signals, unhandled
from .training_process import Worker

__all__ = [
    "EXIT_CONFIGURATION",
    "EXIT_PREEMPTED",
    "Worker",
    "attach",
    "attach_for_adapter",
    "ignore_stop_signals",
]

# The start-up hook sets this in the module of another name: one process has one page.
_worker: Worker | None = None


def attach(*, handle_interrupt: bool = False) -> Worker:
    """Become a rank of the supervised run; call it early, in the main thread. Idempotent.

    SIGTERM and SIGUSR1 (with `handle_interrupt` SIGINT, too) then set a flag instead of killing the
    process. In a child forked later it returns the parent's object, which has no effect on the
    parent's page there.
    """
    handled = (*STOP_SIGNALS, signal.SIGINT) if handle_interrupt else STOP_SIGNALS
    if is_spawn_import():
        return Worker(None, ())
    if _worker is None:
        end_workers_at_exit()
        return _attach(handled, None)
    _worker.be_the_scripts(handled)
    return _worker


def attach_for_adapter(tell: Callable[[str], None]) -> Worker:
    """Do the same for an adapter: no signal is taken that has a handler, and nothing is printed.

    `tell` takes what stands in the way.
    """
    if is_spawn_import():
        return Worker(None, ())
    return _worker or _attach(unhandled(STOP_SIGNALS, tell), tell)


def _attach(handled: tuple[signal.Signals, ...], tell: Callable[[str], None] | None) -> Worker:
    global _worker
    first = Worker(path_of("SUPERVISOR_HEARTBEAT"), handled, tell)
    os.register_at_fork(after_in_child=first._become_bystander)
    first._tell_its_end()
    _worker = first
    return first
